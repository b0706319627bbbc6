/* Tracks: for every node, which level it is at from when on.
 *
 * The same rules as tracks.py, which is readable and which the tests hold this file against.  A level is a number
 * here; tables say what a level offers to a request, or which level it becomes when something is taken.  An entry of
 * a table that is not known yet is UNKNOWN: the functions collect such levels in `missing`, the caller computes them
 * and calls again.  Every function leaves the tracks as they were when something is missing.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define UNKNOWN (-1)
#define WANTED (-2)
#define MISSING_MAX 1024

typedef struct {
    /* What is free in fact; the steps are what is expected. */
    int32_t actual;
    int32_t count, room;
    double *at;
    int32_t *level;
} Track;

typedef struct {
    double at;
    int32_t position;
} Moment;

typedef struct {
    double now;
    int32_t nodes;
    Track *track;
    /* Where steps begin, for sweeps: sorted up to `sorted`, newer ones behind. */
    Moment *moment;
    int64_t moments, moment_room, sorted, moments_max;
    int has_moments;
    /* Levels whose table entries the last call wanted. */
    int32_t missing_count;
    int32_t missing[MISSING_MAX];
    /* Results of collect and earliest. */
    int32_t *position, *offer;
    int32_t found;
    /* The sweep under way: offer by position, -1 for nodes that are no candidates. */
    int32_t *swept;
    int64_t cursor, sum, useful;
    int is_first;
    /* Nodes looked at, a measure of work. */
    int64_t looks;
} Tracks;

/* ---- the tracks themselves */

Tracks *tracks_new(int32_t nodes)
{
    Tracks *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    size_t n = nodes ? (size_t)nodes : 1;
    t->nodes = nodes;
    t->track = calloc(n, sizeof *t->track);
    t->position = malloc(n * sizeof(int32_t));
    t->offer = malloc(n * sizeof(int32_t));
    t->swept = malloc(n * sizeof(int32_t));
    return t;
}

void tracks_free(Tracks *t)
{
    for (int32_t i = 0; i < t->nodes; i++) {
        free(t->track[i].at);
        free(t->track[i].level);
    }
    free(t->track);
    free(t->moment);
    free(t->position);
    free(t->offer);
    free(t->swept);
    free(t);
}

static void make_room(Track *track, int32_t room)
{
    if (room <= track->room) return;
    int32_t new_room = track->room ? track->room * 2 : 4;
    if (new_room < room) new_room = room;
    track->at = realloc(track->at, new_room * sizeof *track->at);
    track->level = realloc(track->level, new_room * sizeof *track->level);
    if (!track->at || !track->level) abort();
    track->room = new_room;
}

static void add_moment(Tracks *t, double at, int32_t position)
{
    if (!t->has_moments) return;
    if (t->moments == t->moment_room) {
        t->moment_room = t->moment_room ? t->moment_room * 2 : 1024;
        t->moment = realloc(t->moment, t->moment_room * sizeof *t->moment);
        if (!t->moment) abort();
    }
    t->moment[t->moments++] = (Moment){at, position};
}

void tracks_set(Tracks *t, int32_t position, int32_t actual, const double *at, const int32_t *level, int32_t count)
{
    Track *track = &t->track[position];
    track->actual = actual;
    make_room(track, count);
    memcpy(track->at, at, count * sizeof *at);
    memcpy(track->level, level, count * sizeof *level);
    track->count = count;
    for (int32_t k = 1; k < count; k++) add_moment(t, at[k], position);
}

int32_t tracks_actual(const Tracks *t, int32_t position) { return t->track[position].actual; }
int32_t tracks_count(const Tracks *t, int32_t position) { return t->track[position].count; }
const double *tracks_at(const Tracks *t, int32_t position) { return t->track[position].at; }
const int32_t *tracks_level(const Tracks *t, int32_t position) { return t->track[position].level; }

static void drop_step(Track *track, int32_t k)
{
    memmove(track->at + k, track->at + k + 1, (track->count - k - 1) * sizeof *track->at);
    memmove(track->level + k, track->level + k + 1, (track->count - k - 1) * sizeof *track->level);
    track->count--;
}

/* Forget equal neighbours among the steps first..last. */
static void merge(Track *track, int32_t first, int32_t last)
{
    if (last >= track->count) last = track->count - 1;
    for (int32_t k = last; k > first; k--)
        if (track->level[k] == track->level[k - 1]) drop_step(track, k);
}

/* Let time pass: steps that lie behind are gone. */
void tracks_begin(Tracks *t, double now)
{
    t->now = now;
    for (int32_t position = 0; position < t->nodes; position++) {
        Track *track = &t->track[position];
        if (!track->count) continue;
        int32_t passed = 0;
        while (passed + 1 < track->count && track->at[passed + 1] <= now) passed++;
        if (passed) {
            memmove(track->at, track->at + passed, (track->count - passed) * sizeof *track->at);
            memmove(track->level, track->level + passed, (track->count - passed) * sizeof *track->level);
            track->count -= passed;
        }
        track->at[0] = now;
    }
}

/* The last step that begins at or before `at`. */
static int32_t step_at(const Track *track, double at)
{
    int32_t low = 0, high = track->count;
    while (high - low > 1) {
        int32_t middle = (low + high) / 2;
        if (track->at[middle] <= at) low = middle;
        else high = middle;
    }
    return low;
}

static void cut(Tracks *t, int32_t position, int32_t k, double at)
{
    Track *track = &t->track[position];
    make_room(track, track->count + 1);
    memmove(track->at + k + 1, track->at + k, (track->count - k) * sizeof *track->at);
    memmove(track->level + k + 1, track->level + k, (track->count - k) * sizeof *track->level);
    track->at[k] = at;
    track->level[k] = track->level[k - 1];
    track->count++;
    add_moment(t, at, position);
}

/* ---- tables */

static void want(Tracks *t, int32_t *values, int32_t size, int32_t level)
{
    if (level < size) {
        if (values[level] == WANTED) return;
        values[level] = WANTED;
    }
    if (t->missing_count < MISSING_MAX) t->missing[t->missing_count++] = level;
    else if (level < size) values[level] = UNKNOWN;
}

static inline int is_known(const int32_t *values, int32_t size, int32_t level)
{
    return level < size && values[level] >= 0;
}

/* Move the levels of a node through `values` during [from, until); is_held: what is free in fact as well.
 * Returns the number of missing entries, 0 when done. */
int32_t tracks_change(Tracks *t, int32_t position, double from, double until, int32_t is_held, int32_t *values,
                      int32_t size)
{
    Track *track = &t->track[position];
    t->missing_count = 0;
    if (is_held && !is_known(values, size, track->actual)) want(t, values, size, track->actual);
    int32_t first = step_at(track, from), last = first;
    while (last < track->count && track->at[last] < until) last++;
    for (int32_t k = first; k < last; k++)
        if (!is_known(values, size, track->level[k])) want(t, values, size, track->level[k]);
    if (t->missing_count) return t->missing_count;
    if (is_held) track->actual = values[track->actual];
    if (first == last) return 0;
    if (track->at[first] < from) {
        cut(t, position, ++first, from);
        last++;
    }
    if (until < INFINITY && (last == track->count || track->at[last] > until)) cut(t, position, last, until);
    for (int32_t k = first; k < last; k++) track->level[k] = values[track->level[k]];
    merge(track, first ? first - 1 : 0, last);
    return 0;
}

/* ---- questions */

/* The least that the node offers during [at, until), by its steps; -1 when an entry is missing. */
static int32_t window_offer(Tracks *t, const Track *track, double at, double until, int32_t *values, int32_t size)
{
    int32_t k = step_at(track, at), least = INT32_MAX;
    do {
        int32_t level = track->level[k];
        if (!is_known(values, size, level)) {
            want(t, values, size, level);
            return -1;
        }
        if (values[level] < least) least = values[level];
        k++;
    } while (least && k < track->count && track->at[k] < until);
    return least;
}

/* The least that the node offers from now until a moment, in fact and by its steps. */
static int32_t offer_now(Tracks *t, const Track *track, double until, int32_t *values, int32_t size)
{
    if (!is_known(values, size, track->actual)) {
        want(t, values, size, track->actual);
        return -1;
    }
    int32_t actual = values[track->actual];
    if (!actual || (track->count == 1 && track->level[0] == track->actual)) return actual;
    int32_t least = window_offer(t, track, t->now, until, values, size);
    return least < actual ? least : actual;
}

/* Work counts only when it is done for good, so that what is known already does not change the count. */
static int32_t note_looks(Tracks *t, int32_t looks)
{
    if (!t->missing_count) t->looks += looks;
    return t->missing_count;
}

/* Find the candidates that offer something during [at, until): `found` of them, in `position` and `offer`.
 * Stops when they hold so many tasks on so many nodes; nodes 0: never.  Returns the number of missing entries. */
int32_t tracks_collect(Tracks *t, int32_t *values, int32_t size, const int32_t *candidates, int32_t count,
                       int32_t start, double at, double until, int32_t is_now, int64_t tasks, int32_t nodes)
{
    int64_t sum = 0;
    int32_t i;
    t->missing_count = t->found = 0;
    for (i = start; i < count; i++) {
        const Track *track = &t->track[candidates[i]];
        int32_t offer = is_now ? offer_now(t, track, until, values, size)
                               : window_offer(t, track, at, until, values, size);
        if (offer <= 0 || t->missing_count) continue;
        t->position[t->found] = candidates[i];
        t->offer[t->found++] = offer;
        sum += offer;
        if (nodes && t->found >= nodes && sum >= tasks) {
            i++;
            break;
        }
    }
    return note_looks(t, i - start);
}

/* Return the index of the first candidate from `start` on that holds so many tasks from now until a moment; `count`:
 * there is none; -1: entries are missing. */
int32_t tracks_first(Tracks *t, int32_t *values, int32_t size, const int32_t *candidates, int32_t count,
                     int32_t start, double until, int32_t tasks)
{
    t->missing_count = 0;
    for (int32_t i = start; i < count; i++) {
        int32_t offer = offer_now(t, &t->track[candidates[i]], until, values, size);
        if (offer >= tasks && !t->missing_count) {
            t->looks += i + 1 - start;
            return i;
        }
    }
    return note_looks(t, count - start) ? -1 : count;
}

static double earliest_on(Tracks *t, int32_t position, int32_t tasks, double duration, double from, double bound,
                          int32_t *values, int32_t size)
{
    const Track *track = &t->track[position];
    double begin = -1;
    for (int32_t k = step_at(track, from); k < track->count; k++) {
        if (begin >= 0 && track->at[k] >= begin + duration) return begin;
        int32_t level = track->level[k];
        if (!is_known(values, size, level)) {
            want(t, values, size, level);
            return INFINITY;
        }
        if (values[level] < tasks) {
            begin = -1;
            continue;
        }
        if (begin < 0) {
            begin = track->at[k] > from ? track->at[k] : from;
            if (begin >= bound) return INFINITY;
        }
    }
    return begin >= 0 ? begin : INFINITY;
}

/* Find the candidate that holds so many tasks for so long first, at or after `from`: its position is position[0].
 * Returns the moment; INFINITY when there is none; NAN when entries are missing. */
double tracks_earliest(Tracks *t, int32_t *values, int32_t size, const int32_t *candidates, int32_t count,
                       int32_t tasks, double duration, double from)
{
    double best = INFINITY;
    int32_t i;
    t->missing_count = t->found = 0;
    for (i = 0; i < count; i++) {
        double at = earliest_on(t, candidates[i], tasks, duration, from, best, values, size);
        if (at < best) {
            best = at;
            t->position[0] = candidates[i];
            t->found = 1;
            if (best <= from && !t->missing_count) {
                i++;
                break;
            }
        }
    }
    return note_looks(t, i) ? NAN : best;
}

static int by_time(const void *one, const void *other)
{
    const Moment *a = one, *b = other;
    if (a->at != b->at) return a->at < b->at ? -1 : 1;
    return (a->position > b->position) - (a->position < b->position);
}

static void sort_moments(Tracks *t)
{
    if (!t->has_moments || t->moments > t->moments_max) {
        /* Made anew when they are first needed, and when those of steps that are gone could be many. */
        t->has_moments = 1;
        t->moments = t->sorted = 0;
        for (int32_t position = 0; position < t->nodes; position++)
            for (int32_t k = 1; k < t->track[position].count; k++) add_moment(t, t->track[position].at[k], position);
        t->moments_max = 2 * t->moments + 4096;
    }
    if (t->sorted == t->moments) return;
    int64_t fresh = t->moments - t->sorted;
    qsort(t->moment + t->sorted, fresh, sizeof *t->moment, by_time);
    if (t->sorted) {
        Moment *copy = malloc(fresh * sizeof *copy);
        if (!copy) abort();
        memcpy(copy, t->moment + t->sorted, fresh * sizeof *copy);
        int64_t old = t->sorted - 1, new = fresh - 1;
        for (int64_t to = t->moments - 1; new >= 0; to--) {
            if (old >= 0 && by_time(&t->moment[old], &copy[new]) > 0) t->moment[to] = t->moment[old--];
            else t->moment[to] = copy[new--];
        }
        free(copy);
    }
    t->sorted = t->moments;
}

static int64_t first_moment_after(const Tracks *t, double at)
{
    int64_t low = 0, high = t->moments;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (t->moment[middle].at <= at) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* Begin to sweep over time from `from` on.  Returns the number of missing entries. */
int32_t tracks_sweep(Tracks *t, int32_t *values, int32_t size, const int32_t *candidates, int32_t count,
                     double duration, double from)
{
    sort_moments(t);
    t->missing_count = 0;
    t->sum = t->useful = 0;
    memset(t->swept, 0xff, t->nodes * sizeof *t->swept);
    for (int32_t i = 0; i < count; i++) {
        int32_t offer = window_offer(t, &t->track[candidates[i]], from, from + duration, values, size);
        if (offer < 0) continue;
        t->swept[candidates[i]] = offer;
        t->sum += offer;
        t->useful += offer > 0;
    }
    t->cursor = first_moment_after(t, from);
    t->is_first = 1;
    return note_looks(t, count);
}

/* Return the next moment at which the candidates may hold so many tasks on so many nodes; INFINITY: there is
 * none; NAN: entries are missing, call again. */
double tracks_next(Tracks *t, int32_t *values, int32_t size, int64_t tasks, int64_t nodes, double duration, double from)
{
    t->missing_count = 0;
    if (t->is_first) {
        t->is_first = 0;
        if (t->sum >= tasks && t->useful >= nodes) return from;
    }
    while (t->cursor < t->moments) {
        double at = t->moment[t->cursor].at;
        int64_t cursor = t->cursor, looks = 0;
        for (; cursor < t->moments && t->moment[cursor].at == at; cursor++) {
            int32_t position = t->moment[cursor].position, before = t->swept[position];
            if (before < 0) continue;
            int32_t offer = window_offer(t, &t->track[position], at, at + duration, values, size);
            if (offer < 0) return NAN;
            looks++;
            t->swept[position] = offer;
            t->sum += offer - before;
            t->useful += (offer > 0) - (before > 0);
        }
        t->looks += looks;
        t->cursor = cursor;
        if (t->sum >= tasks && t->useful >= nodes) return at;
    }
    return INFINITY;
}

int32_t tracks_found(const Tracks *t) { return t->found; }
const int32_t *tracks_positions(const Tracks *t) { return t->position; }
const int32_t *tracks_offers(const Tracks *t) { return t->offer; }
int32_t tracks_missing_count(const Tracks *t) { return t->missing_count; }
const int32_t *tracks_missing(const Tracks *t) { return t->missing; }
int64_t tracks_looks(const Tracks *t) { return t->looks; }
void tracks_reset_looks(Tracks *t) { t->looks = 0; }
