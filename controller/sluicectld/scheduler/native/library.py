"""The compiled functions, loaded once."""

from pathlib import Path
from typing import Any

from cffi import FFI

_DECLARATIONS = """
typedef struct Tracks Tracks;
typedef struct {
    const int32_t *count;
    const int32_t *const *tasks;
    const int64_t *const *rows;
    int32_t least;
    int32_t is_alone;
} TaskRows;
typedef struct {
    const TaskRows *rows;
    const int32_t *candidates;
    int32_t count, tasks;
    double duration;
} Ask;
Tracks *tracks_new(int32_t nodes, int32_t width);
void tracks_free(Tracks *t);
void tracks_set(Tracks *t, int32_t position, int32_t kind, const int64_t *full, const int64_t *actual);
int32_t tracks_count(const Tracks *t, int32_t position);
const double *tracks_at(const Tracks *t, int32_t position);
const int64_t *tracks_rows(const Tracks *t, int32_t position);
const int64_t *tracks_actual(const Tracks *t, int32_t position);
void tracks_begin(Tracks *t, double now);
void tracks_change(Tracks *t, int32_t position, double from, double until, const int64_t *take, int32_t how,
                   int32_t is_held);
void tracks_change_all(Tracks *t, const int32_t *positions, int32_t count, double from, double until,
                       const int64_t *take, int32_t how, int32_t is_held);
int32_t tracks_collect(Tracks *t, const TaskRows *asked, const int32_t *candidates, int32_t count, int32_t start,
                       double at, double until, int32_t is_now, int64_t tasks, int32_t nodes);
int32_t tracks_first(Tracks *t, const TaskRows *asked, const int32_t *candidates, int32_t count, int32_t start,
                     double until, int32_t tasks);
int32_t tracks_first_ask(Tracks *t, const Ask *const *asks, int32_t count);
double tracks_earliest(Tracks *t, const TaskRows *asked, const int32_t *candidates, int32_t count, int32_t tasks,
                       double duration, double from);
double tracks_earlier(Tracks *t, const Ask *ask, int32_t position, double at, const int64_t *take);
void tracks_sweep(Tracks *t, const TaskRows *asked, const int32_t *candidates, int32_t count, double duration,
                  double from);
double tracks_next(Tracks *t, const TaskRows *asked, int64_t tasks, int64_t nodes, double duration, double from);
const int32_t *tracks_positions(const Tracks *t);
const int32_t *tracks_offers(const Tracks *t);
int64_t tracks_looks(const Tracks *t);
"""

ffi = FFI()
ffi.cdef(_DECLARATIONS)


def _load() -> Any:
    path = Path(__file__).parent / "libtracks.so"
    try:
        return ffi.dlopen(str(path))
    except OSError:
        return None


#: None: it was not compiled here.
lib: Any = _load()
