/* Weighted sums of 8-bit pixels in Pillow's integers: along each row, rounded to 8 bits, then along each column.

   Both passes sum whole lines, so that a compiler can vectorise them; for the first, the image is transposed and back.
   effconvert/preprocessing/antialiasing.py computes the weights, and works without this module where it was not built. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__gnu_linux__)
#define VECTORS __attribute__((target_clones("avx2", "default")))
#else
#define VECTORS
#endif

enum { CHANNELS = 3, FRACTION_BITS = 22 };

/* For each output: the first source line, the number of weights, the weights. */
typedef struct {
    const int32_t *numbers;
    Py_ssize_t count, stride;
} Taps;

/* Make `taps.count` lines from the source's; a line has `width` bytes, and `sums` has room for `width` numbers. */
VECTORS static void add_lines(const uint8_t *source, Py_ssize_t width, Taps taps, int32_t *sums, uint8_t *target) {
    for (Py_ssize_t line = 0; line < taps.count; line++, target += width) {
        const int32_t *numbers = taps.numbers + line * taps.stride;
        const uint8_t *added = source + numbers[0] * width;
        for (Py_ssize_t x = 0; x < width; x++)
            sums[x] = 1 << (FRACTION_BITS - 1);
        for (int32_t k = 0; k < numbers[1]; k++, added += width)
            for (Py_ssize_t x = 0; x < width; x++)
                sums[x] += numbers[2 + k] * added[x];
        for (Py_ssize_t x = 0; x < width; x++) {
            int32_t sum = sums[x] >> FRACTION_BITS;
            target[x] = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
        }
    }
}

/* Transpose pixels; rows are `down` bytes apart, columns `across` bytes. */
static void turn(const uint8_t *source, Py_ssize_t height, Py_ssize_t width, Py_ssize_t down, Py_ssize_t across,
                 uint8_t *target) {
    for (Py_ssize_t x = 0; x < width; x++)
        for (Py_ssize_t y = 0; y < height; y++, target += CHANNELS)
            memcpy(target, source + y * down + x * across, CHANNELS);
}

static int is_image(const Py_buffer *view) {
    return view->ndim == 3 && view->itemsize == 1 && view->shape[2] == CHANNELS;
}

/* Read taps from an array [count, 2 + most]; return 0 if a line points outside of `length` source lines. */
static int read_taps(const Py_buffer *view, Py_ssize_t length, Taps *taps) {
    if (view->ndim != 2 || view->itemsize != sizeof(int32_t) || view->shape[1] < 2)
        return 0;
    *taps = (Taps){view->buf, view->shape[0], view->shape[1]};
    for (Py_ssize_t line = 0; line < taps->count; line++) {
        const int32_t *numbers = taps->numbers + line * taps->stride;
        if (numbers[0] < 0 || numbers[1] < 0 || numbers[1] > taps->stride - 2 || numbers[0] > length - numbers[1])
            return 0;
    }
    return 1;
}

/* Fill the target; return None, or NULL with an exception. */
static PyObject *resampled(const Py_buffer *source, const Py_buffer *across, const Py_buffer *down,
                           const Py_buffer *target) {
    Taps columns, rows;
    if (!is_image(source) || source->strides[2] != 1 || !is_image(target) ||
        !read_taps(across, source->shape[1], &columns) || !read_taps(down, source->shape[0], &rows) ||
        target->shape[0] != rows.count || target->shape[1] != columns.count)
        return PyErr_Format(PyExc_ValueError, "the source, the taps and the target do not fit each other");

    Py_ssize_t height = source->shape[0], width = source->shape[1], count = columns.count;
    uint8_t *turned = PyMem_RawMalloc(CHANNELS * height * (width > count ? width : count));
    uint8_t *narrow = PyMem_RawMalloc(CHANNELS * height * count);
    int32_t *sums = PyMem_RawMalloc(CHANNELS * (height > count ? height : count) * sizeof(int32_t));
    int enough = turned && narrow && sums;
    if (enough) {
        Py_BEGIN_ALLOW_THREADS;
        turn(source->buf, height, width, source->strides[0], source->strides[1], turned);
        add_lines(turned, CHANNELS * height, columns, sums, narrow);
        turn(narrow, count, height, CHANNELS * height, CHANNELS, turned);
        add_lines(turned, CHANNELS * count, rows, sums, target->buf);
        Py_END_ALLOW_THREADS;
    }
    PyMem_RawFree(turned);
    PyMem_RawFree(narrow);
    PyMem_RawFree(sums);
    return enough ? Py_NewRef(Py_None) : PyErr_NoMemory();
}

static PyObject *resample(PyObject *module, PyObject *args) {
    static const int flags[] = {PyBUF_STRIDES, PyBUF_ND, PyBUF_ND, PyBUF_ND | PyBUF_WRITABLE};
    PyObject *arrays[4], *result = NULL;
    Py_buffer views[4];
    int held = 0;
    if (!PyArg_ParseTuple(args, "OOOO", &arrays[0], &arrays[1], &arrays[2], &arrays[3]))
        return NULL;
    while (held < 4 && !PyObject_GetBuffer(arrays[held], &views[held], flags[held]))
        held++;
    if (held == 4)
        result = resampled(&views[0], &views[1], &views[2], &views[3]);
    while (held > 0)
        PyBuffer_Release(&views[--held]);
    return result;
}

static PyMethodDef functions[] = {
    {"resample", resample, METH_VARARGS,
     "resample(source, columns, rows, target): fill uint8 target [H, W, 3] from source [h, w, 3]; columns and rows are "
     "int32 [W, 2 + most] and [H, 2 + most]."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_antialiasing",
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__antialiasing(void) { return PyModuleDef_Init(&definition); }
