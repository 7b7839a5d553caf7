/* TensorFlow's steps for images: the colours of a JPEG with halved chroma, and the resizes of TensorFlow 1.

   Each float32 is computed in TensorFlow's order, without fused multiply-add (-ffp-contract=off), so every machine gives
   the same bits. effconvert/preprocessing/chroma.py and tensorflow_resizing.py name the sources and make the tables; they
   work without this module where it was not built. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__gnu_linux__)
#define VECTORS __attribute__((target_clones("avx2", "default")))
#else
#define VECTORS
#endif

/* Four values are computed for a pixel, since compilers make vectors of four; the next pixel overwrites the last. */
enum { CHANNELS = 3, LANES = 4, ROWS = 4 };

static int is_image(const Py_buffer *view, Py_ssize_t height, Py_ssize_t width, Py_ssize_t itemsize) {
    return height > 0 && width > 0 && height <= PY_SSIZE_T_MAX / (CHANNELS * itemsize) / width &&
           view->len == height * width * CHANNELS * itemsize;
}

static PyObject *no_fit(void) { return PyErr_Format(PyExc_ValueError, "the images and their tables do not fit"); }

/* ---- Colours ---- */

/* A chroma is (near * sum + far * the sum beside it + rounding) >> shift; a sum is down_near * the sample of its row +
   down_far * the one above or below. */
typedef struct {
    int down_near, down_far, near, far, even, odd, shift;
} Weights;

static inline uint8_t level(int16_t value) { return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value); }

/* (factor * chroma + 2^15) >> 16 for |chroma| <= 128, in 16 bits: vectors are twice as long. */
static inline int16_t scaled(int16_t chroma, int16_t factor) {
    int16_t doubled = (int16_t)((int16_t)(2 * chroma) * factor >> 16);
    return (int16_t)(doubled + 1) >> 1;
}

/* Fill chroma[0 .. 2 * count] from `count` samples, each in two pixels; sums has room for count + 2. */
static inline void mix(const uint8_t *near, const uint8_t *far, Py_ssize_t count, Weights weights, int16_t *sums,
                       int16_t *restrict chroma) {
    for (Py_ssize_t i = 0; i < count; i++)
        sums[i + 1] = (int16_t)(weights.down_near * near[2 * CHANNELS * i] + weights.down_far * far[2 * CHANNELS * i]);
    sums[0] = sums[1];
    sums[count + 1] = sums[count];
    for (Py_ssize_t i = 0; i < count; i++) {
        int sum = weights.near * sums[i + 1];
        chroma[2 * i] = (int16_t)((sum + weights.far * sums[i] + weights.even) >> weights.shift);
        chroma[2 * i + 1] = (int16_t)((sum + weights.far * sums[i + 2] + weights.odd) >> weights.shift);
    }
}

/* Make a row of RGB of luma and of chroma, in libjpeg's fixed point with 16 fraction bits. Its factors are 91881 for red,
   116130 for blue, -46802 and -22554 for green; their whole parts are added apart. */
static inline void mix_colors(const uint8_t *luma, const int16_t *blues, const int16_t *reds, Py_ssize_t width,
                              uint8_t *restrict target) {
    for (Py_ssize_t x = 0; x < width; x++) {
        int16_t bright = luma[CHANNELS * x], blue = blues[x] - 128, red = reds[x] - 128;
        int16_t green = (int16_t)((-22554 * blue + (65536 - 46802) * red + (1 << 15)) >> 16);
        target[CHANNELS * x] = level(bright + red + scaled(red, 91881 - 65536));
        target[CHANNELS * x + 1] = level(bright - red + green);
        target[CHANNELS * x + 2] = level(bright + 2 * blue + scaled(blue, 116130 - 2 * 65536));
    }
}

typedef struct {
    Py_ssize_t top, left, height, width;
} Window;

/* room: 3 * (window.width + 20) numbers. */
VECTORS static void fill_colors(const uint8_t *source, Py_ssize_t height, Py_ssize_t width, Window window,
                                Py_ssize_t first, Weights weights, int16_t *room, uint8_t *target) {
    Py_ssize_t count = (window.left + window.width - first + 1) / 2;
    int16_t *sums = room, *blues = sums + count + 2, *reds = blues + 2 * count;
    for (Py_ssize_t y = window.top; y < window.top + window.height; y++, target += CHANNELS * window.width) {
        Py_ssize_t beside = y % 2 ? (y + 1 < height ? y + 1 : y) : (y > 0 ? y - 1 : y);
        const uint8_t *near = source + (y * width + first) * CHANNELS, *far = source + (beside * width + first) * CHANNELS;
        mix(near + 1, far + 1, count, weights, sums, blues);
        mix(near + 2, far + 2, count, weights, sums, reds);
        Py_ssize_t skipped = window.left - first;
        mix_colors(near + CHANNELS * skipped, blues + skipped, reds + skipped, window.width, target);
    }
}

static PyObject *colors(PyObject *module, PyObject *args) {
    Py_buffer source, target;
    Py_ssize_t height, width, first;
    Window window;
    Weights weights;
    if (!PyArg_ParseTuple(args, "y*(nn)(nnnn)n(iiiiiii)w*", &source, &height, &width, &window.top, &window.left,
                          &window.height, &window.width, &first, &weights.down_near, &weights.down_far, &weights.near,
                          &weights.far, &weights.even, &weights.odd, &weights.shift, &target))
        return NULL;
    PyObject *result = NULL;
    int16_t *room = NULL;
    if (!is_image(&source, height, width, 1) || !is_image(&target, window.height, window.width, 1) || window.top < 0 ||
        first < 0 || first % 2 || window.left < first || window.height > height - window.top ||
        window.width > width - window.left || weights.shift < 0 || weights.shift > 8)
        no_fit();
    else if (!(room = PyMem_RawMalloc((5 * ((window.left + window.width - first) / 2 + 1) + 2) * sizeof(int16_t))))
        PyErr_NoMemory();
    else {
        Py_BEGIN_ALLOW_THREADS;
        fill_colors(source.buf, height, width, window, first, weights, room, target.buf);
        Py_END_ALLOW_THREADS;
        result = Py_NewRef(Py_None);
    }
    PyMem_RawFree(room);
    PyBuffer_Release(&source);
    PyBuffer_Release(&target);
    return result;
}

/* ---- Resizes ---- */

/* For each of `count` outputs: `of` positions, [of, count], and weights. */
typedef struct {
    Py_ssize_t count;
    const Py_ssize_t *positions;
    const float *weights;
} Taps;

/* Each row is the weighted sum of four, each pixel that of four in this row: ((a + b) + c) + d. ROWS rows share the
   reading of the columns' taps. lines: room for ROWS lines of the source; made: for ROWS of the target. */
VECTORS static void fill_bicubic(const uint8_t *source, Py_ssize_t width, Taps rows, Taps columns, float *restrict lines,
                                 float *restrict made, float *target) {
    Py_ssize_t down = rows.count, across = columns.count, stride = CHANNELS * width;
    Py_ssize_t read = stride + 1, written = CHANNELS * across + 1;
    for (Py_ssize_t top = 0; top < down; top += ROWS) {
        Py_ssize_t count = down - top < ROWS ? down - top : ROWS;
        for (Py_ssize_t y = top; y < top + count; y++) {
            const Py_ssize_t *position = rows.positions + y;
            const float *weight = rows.weights + y;
            float of_a = weight[0], of_b = weight[down], of_c = weight[2 * down], of_d = weight[3 * down];
            const uint8_t *a = source + position[0] * stride, *b = source + position[down] * stride;
            const uint8_t *c = source + position[2 * down] * stride, *d = source + position[3 * down] * stride;
            float *line = lines + (y - top) * read;
            for (Py_ssize_t i = 0; i < stride; i++)
                line[i] = (float)a[i] * of_a + (float)b[i] * of_b + (float)c[i] * of_c + (float)d[i] * of_d;
        }
        for (Py_ssize_t x = 0; x < across; x++) {
            const Py_ssize_t *position = columns.positions + x;
            const float *weight = columns.weights + x;
            float of_p = weight[0], of_q = weight[across], of_r = weight[2 * across], of_s = weight[3 * across];
            const float *p = lines + CHANNELS * position[0], *q = lines + CHANNELS * position[across];
            const float *r = lines + CHANNELS * position[2 * across], *s = lines + CHANNELS * position[3 * across];
            for (Py_ssize_t y = 0; y < ROWS; y++, p += read, q += read, r += read, s += read)
                for (int i = 0; i < LANES; i++)
                    made[y * written + CHANNELS * x + i] = p[i] * of_p + q[i] * of_q + r[i] * of_r + s[i] * of_s;
        }
        for (Py_ssize_t y = 0; y < count; y++, target += CHANNELS * across)
            memcpy(target, made + y * written, CHANNELS * across * sizeof(float));
    }
}

/* Between two pixels of each of two rows, then between these: first + (second - first) * share. */
VECTORS static void fill_bilinear(const uint8_t *source, Py_ssize_t width, Taps rows, Taps columns, float *restrict lines,
                                  float *restrict made, float *target) {
    Py_ssize_t down = rows.count, across = columns.count, stride = CHANNELS * width;
    Py_ssize_t read = stride + 1, written = CHANNELS * across + 1;
    for (Py_ssize_t y = 0; y < down; y++, target += CHANNELS * across) {
        for (int side = 0; side < 2; side++)
            for (Py_ssize_t i = 0; i < stride; i++)
                lines[side * read + i] = source[rows.positions[y + side * down] * stride + i];
        for (Py_ssize_t x = 0; x < across; x++) {
            const float *left = lines + CHANNELS * columns.positions[x];
            const float *right = lines + CHANNELS * columns.positions[x + across];
            float share = columns.weights[x];
            for (int side = 0; side < 2; side++, left += read, right += read)
                for (int i = 0; i < LANES; i++)
                    made[side * written + CHANNELS * x + i] = left[i] + (right[i] - left[i]) * share;
        }
        for (Py_ssize_t i = 0; i < CHANNELS * across; i++)
            target[i] = made[i] + (made[written + i] - made[i]) * rows.weights[y];
    }
}

/* Read taps of `of` positions and `weighed` weights each; return 0 if one points outside of `length`. */
static int read_taps(const Py_buffer *positions, const Py_buffer *weights, Py_ssize_t of, Py_ssize_t weighed,
                     Py_ssize_t length, Taps *taps) {
    *taps = (Taps){weights->len / weighed / (Py_ssize_t)sizeof(float), positions->buf, weights->buf};
    Py_ssize_t count = positions->len / (Py_ssize_t)sizeof(Py_ssize_t);
    if (weights->len != taps->count * weighed * (Py_ssize_t)sizeof(float) || count != taps->count * of ||
        positions->len != count * (Py_ssize_t)sizeof(Py_ssize_t))
        return 0;
    for (Py_ssize_t i = 0; i < count; i++)
        if (taps->positions[i] < 0 || taps->positions[i] >= length)
            return 0;
    return 1;
}

static PyObject *resize(PyObject *args, int cubic) {
    Py_buffer source, tables[4], target;
    Py_ssize_t height, width, of = cubic ? 4 : 2, weighed = cubic ? 4 : 1;
    Taps rows, columns;
    if (!PyArg_ParseTuple(args, "y*(nn)(y*y*)(y*y*)w*", &source, &height, &width, &tables[0], &tables[1], &tables[2],
                          &tables[3], &target))
        return NULL;
    PyObject *result = NULL;
    float *lines = NULL, *made = NULL;
    if (!is_image(&source, height, width, 1) || !read_taps(&tables[0], &tables[1], of, weighed, height, &rows) ||
        !read_taps(&tables[2], &tables[3], of, weighed, width, &columns) ||
        !is_image(&target, rows.count, columns.count, sizeof(float)))
        no_fit();
    else {
        lines = PyMem_RawCalloc(ROWS * (CHANNELS * width + 1), sizeof(float));
        made = PyMem_RawCalloc(ROWS * (CHANNELS * columns.count + 1), sizeof(float));
        if (!lines || !made)
            PyErr_NoMemory();
        else {
            Py_BEGIN_ALLOW_THREADS;
            (cubic ? fill_bicubic : fill_bilinear)(source.buf, width, rows, columns, lines, made, target.buf);
            Py_END_ALLOW_THREADS;
            result = Py_NewRef(Py_None);
        }
    }
    PyMem_RawFree(lines);
    PyMem_RawFree(made);
    for (int i = 0; i < 4; i++)
        PyBuffer_Release(&tables[i]);
    PyBuffer_Release(&source);
    PyBuffer_Release(&target);
    return result;
}

static PyObject *bicubic(PyObject *module, PyObject *args) { return resize(args, 1); }
static PyObject *bilinear(PyObject *module, PyObject *args) { return resize(args, 0); }

static PyMethodDef functions[] = {
    {"colors", colors, METH_VARARGS,
     "colors(components, (height, width), window, first, weights, target): fill uint8 target [H, W, 3] with the RGB of a "
     "window of components [height, width, 3]; the chroma left of column `first` is not known."},
    {"bicubic", bicubic, METH_VARARGS,
     "bicubic(source, (height, width), rows, columns, target): fill float32 target [H, W, 3]; rows are positions, intp "
     "[4, H], and weights, float32 [4, H]; columns the same."},
    {"bilinear", bilinear, METH_VARARGS, "bilinear: as bicubic, with positions [2, H] and the shares of the second [H]."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_tensorflow",
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__tensorflow(void) { return PyModuleDef_Init(&definition); }
