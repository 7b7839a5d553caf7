"""Networks over a data set: images prepared by workers, computed on a device, answers kept as they come."""
