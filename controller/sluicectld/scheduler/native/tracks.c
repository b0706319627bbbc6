/* Tracks: for every node, what is free on it from when on.
 *
 * The same rules as tracks.py, which is readable and which the tests hold this file against.  What is free on a node
 * is a row of numbers: CPUs, MiB, jobs that are there, and units of each resource.  What is asked says, for each kind of
 * node, the rows that one, two, ... tasks take.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define JOBS 2
/* Steps for which every track has room from the start. */
#define ROOM 4

typedef struct {
    int32_t count, room;
    /* Times of the steps, and a row for each: one block. */
    double *at;
    int64_t *free;
    int32_t kind, is_own;
} Track;

typedef struct {
    double at;
    int32_t position;
} Moment;

typedef struct {
    /* By kind: how many rows there are, 0: of no use; how many tasks take each row; and the rows, ascending. */
    const int32_t *count;
    const int32_t *const *tasks;
    const int64_t *const *rows;
    /* A node that offers fewer tasks is of no use. */
    int32_t least;
    /* Only nodes where nobody is. */
    int32_t is_alone;
} TaskRows;

typedef struct {
    const TaskRows *rows;
    const int32_t *candidates;
    int32_t count, tasks;
    double duration;
} Ask;

typedef struct {
    double now;
    int32_t nodes, width;
    Track *track;
    /* The first blocks of all tracks, one behind the other: most nodes need no other, and walks run through them. */
    char *blocks;
    /* By position: what is free in fact, and what the node has in all. */
    int64_t *actual, *full;
    /* Where steps begin, for sweeps: sorted up to `sorted`, newer ones behind. */
    Moment *moment;
    int64_t moments, moment_room, sorted, moments_max;
    int has_moments;
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

static void *checked(void *memory)
{
    if (!memory) abort();
    return memory;
}

static size_t block_size(const Tracks *t, int32_t room)
{
    return room * (sizeof(double) + t->width * sizeof(int64_t));
}

static void use_block(Track *track, void *block, int32_t room)
{
    track->at = block;
    track->free = (int64_t *)(track->at + room);
    track->room = room;
}

Tracks *tracks_new(int32_t nodes, int32_t width)
{
    Tracks *t = checked(calloc(1, sizeof *t));
    size_t n = nodes ? (size_t)nodes : 1;
    t->nodes = nodes;
    t->width = width;
    t->track = checked(calloc(n, sizeof *t->track));
    t->blocks = checked(calloc(n, block_size(t, ROOM)));
    for (int32_t i = 0; i < nodes; i++) use_block(&t->track[i], t->blocks + i * block_size(t, ROOM), ROOM);
    t->actual = checked(calloc(n * width, sizeof(int64_t)));
    t->full = checked(calloc(n * width, sizeof(int64_t)));
    t->position = checked(malloc(n * sizeof(int32_t)));
    t->offer = checked(malloc(n * sizeof(int32_t)));
    t->swept = checked(malloc(n * sizeof(int32_t)));
    return t;
}

void tracks_free(Tracks *t)
{
    for (int32_t i = 0; i < t->nodes; i++)
        if (t->track[i].is_own) free(t->track[i].at);
    free(t->blocks);
    free(t->track);
    free(t->actual);
    free(t->full);
    free(t->moment);
    free(t->position);
    free(t->offer);
    free(t->swept);
    free(t);
}

static void make_room(const Tracks *t, Track *track, int32_t room)
{
    if (room <= track->room) return;
    Track old = *track;
    use_block(track, checked(malloc(block_size(t, 2 * room))), 2 * room);
    memcpy(track->at, old.at, old.count * sizeof *old.at);
    memcpy(track->free, old.free, (size_t)old.count * t->width * sizeof *old.free);
    if (old.is_own) free(old.at);
    track->is_own = 1;
}

static inline int64_t *row(const Tracks *t, const Track *track, int32_t k) { return track->free + (int64_t)k * t->width; }

static void add_moment(Tracks *t, double at, int32_t position)
{
    if (!t->has_moments) return;
    if (t->moments == t->moment_room) {
        t->moment_room = t->moment_room ? t->moment_room * 2 : 1024;
        t->moment = checked(realloc(t->moment, t->moment_room * sizeof *t->moment));
    }
    t->moment[t->moments++] = (Moment){at, position};
}

/* A node of this kind has so much in all, and so much is free, now and for ever. */
void tracks_set(Tracks *t, int32_t position, int32_t kind, const int64_t *full, const int64_t *actual)
{
    Track *track = &t->track[position];
    size_t size = t->width * sizeof *full;
    make_room(t, track, 1);
    track->count = 1;
    track->kind = kind;
    track->at[0] = t->now;
    memcpy(track->free, actual, size);
    memcpy(t->actual + (int64_t)position * t->width, actual, size);
    memcpy(t->full + (int64_t)position * t->width, full, size);
}

int32_t tracks_count(const Tracks *t, int32_t position) { return t->track[position].count; }
const double *tracks_at(const Tracks *t, int32_t position) { return t->track[position].at; }
const int64_t *tracks_rows(const Tracks *t, int32_t position) { return t->track[position].free; }
const int64_t *tracks_actual(const Tracks *t, int32_t position) { return t->actual + (int64_t)position * t->width; }

/* Forget equal neighbours among the steps first..last. */
static void merge(const Tracks *t, Track *track, int32_t first, int32_t last)
{
    if (last >= track->count) last = track->count - 1;
    for (int32_t k = last; k > first; k--) {
        if (memcmp(row(t, track, k), row(t, track, k - 1), t->width * sizeof(int64_t))) continue;
        int32_t behind = track->count - k - 1;
        memmove(track->at + k, track->at + k + 1, behind * sizeof *track->at);
        memmove(row(t, track, k), row(t, track, k + 1), (size_t)behind * t->width * sizeof(int64_t));
        track->count--;
    }
}

/* Let time pass: steps that lie behind are gone. */
void tracks_begin(Tracks *t, double now)
{
    t->now = now;
    t->looks = 0;
    for (int32_t position = 0; position < t->nodes; position++) {
        Track *track = &t->track[position];
        if (!track->count) continue;
        int32_t passed = 0;
        while (passed + 1 < track->count && track->at[passed + 1] <= now) passed++;
        if (passed) {
            int32_t left = track->count - passed;
            memmove(track->at, track->at + passed, left * sizeof *track->at);
            memmove(track->free, row(t, track, passed), (size_t)left * t->width * sizeof(int64_t));
            track->count = left;
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

/* Make a step k at `at`, as the one before it. */
static void cut(Tracks *t, int32_t position, int32_t k, double at)
{
    Track *track = &t->track[position];
    make_room(t, track, track->count + 1);
    int32_t behind = track->count - k;
    memmove(track->at + k + 1, track->at + k, behind * sizeof *track->at);
    memmove(row(t, track, k + 1), row(t, track, k), (size_t)behind * t->width * sizeof(int64_t));
    memcpy(row(t, track, k), row(t, track, k - 1), t->width * sizeof(int64_t));
    track->at[k] = at;
    track->count++;
    add_moment(t, at, position);
}

/* One job's part goes, comes back exactly, or comes back as a job's end does: never more than there is in all, and
 * all of it with the last job. */
static void move(const Tracks *t, int64_t *free, const int64_t *full, const int64_t *take, int32_t how)
{
    if (how < 0) {
        for (int32_t i = 0; i < t->width; i++) free[i] -= take[i];
        free[JOBS] += 1;
        return;
    }
    if (how > 1 && free[JOBS] <= 1) {
        memcpy(free, full, t->width * sizeof *free);
        return;
    }
    for (int32_t i = 0; i < t->width; i++) {
        free[i] += take[i];
        if (how > 1 && i != JOBS && free[i] > full[i]) free[i] = full[i];
    }
    free[JOBS] -= 1;
}

/* Move a job's part out (how -1), back exactly (1) or back at its end (2) during [from, until); is_held: in fact too. */
void tracks_change(Tracks *t, int32_t position, double from, double until, const int64_t *take, int32_t how,
                   int32_t is_held)
{
    Track *track = &t->track[position];
    const int64_t *full = t->full + (int64_t)position * t->width;
    if (is_held) move(t, t->actual + (int64_t)position * t->width, full, take, how);
    int32_t first = step_at(track, from), last = first;
    while (last < track->count && track->at[last] < until) last++;
    if (first == last) return;
    if (track->at[first] < from) {
        cut(t, position, ++first, from);
        last++;
    }
    if (until < INFINITY && (last == track->count || track->at[last] > until)) cut(t, position, last, until);
    for (int32_t k = first; k < last; k++) move(t, row(t, track, k), full, take, how);
    merge(t, track, first ? first - 1 : 0, last);
}

/* The same at several nodes. */
void tracks_change_all(Tracks *t, const int32_t *positions, int32_t count, double from, double until,
                       const int64_t *take, int32_t how, int32_t is_held)
{
    for (int32_t i = 0; i < count; i++) tracks_change(t, positions[i], from, until, take, how, is_held);
}

/* ---- questions */

static inline int holds(const Tracks *t, const int64_t *free, const int64_t *wanted)
{
    for (int32_t i = 0; i < t->width; i++)
        if (i != JOBS && free[i] < wanted[i]) return 0;
    return 1;
}

/* How many tasks fit where so much is free. */
static int32_t offer_of(const Tracks *t, const TaskRows *asked, int32_t kind, const int64_t *free)
{
    int32_t low = 0, high = asked->count[kind] - 1;
    if (high < 0 || (asked->is_alone && free[JOBS] > 0)) return 0;
    const int64_t *rows = asked->rows[kind];
    if (!holds(t, free, rows)) return 0;
    if (high && holds(t, free, rows + (int64_t)high * t->width)) low = high;
    for (high--; low < high;) {
        int32_t middle = (low + high + 1) / 2;
        if (holds(t, free, rows + (int64_t)middle * t->width)) low = middle;
        else high = middle - 1;
    }
    int32_t tasks = asked->tasks[kind][low];
    return tasks >= asked->least ? tasks : 0;
}

/* The least that the node offers during [at, until), by its steps. */
static int32_t window_offer(const Tracks *t, const TaskRows *asked, const Track *track, double at, double until)
{
    int32_t k = step_at(track, at);
    int32_t least = offer_of(t, asked, track->kind, row(t, track, k));
    for (k++; least && k < track->count && track->at[k] < until; k++) {
        int32_t offer = offer_of(t, asked, track->kind, row(t, track, k));
        if (offer < least) least = offer;
    }
    return least;
}

/* The least that the node offers from now until a moment, in fact and by its steps. */
static int32_t offer_now(const Tracks *t, const TaskRows *asked, int32_t position, double until)
{
    const Track *track = &t->track[position];
    int32_t actual = offer_of(t, asked, track->kind, t->actual + (int64_t)position * t->width);
    if (!actual) return 0;
    int32_t least = window_offer(t, asked, track, t->now, until);
    return least < actual ? least : actual;
}

/* Find the candidates from `start` on that offer something during [at, until), or from now on: `found` of them, in
 * `position` and `offer`.  Stops when they hold so many tasks on so many nodes; nodes 0: never. */
int32_t tracks_collect(Tracks *t, const TaskRows *asked, const int32_t *candidates, int32_t count, int32_t start,
                       double at, double until, int32_t is_now, int64_t tasks, int32_t nodes)
{
    int64_t sum = 0;
    t->found = 0;
    for (int32_t i = start; i < count; i++) {
        int32_t position = candidates[i];
        int32_t offer = is_now ? offer_now(t, asked, position, until)
                               : window_offer(t, asked, &t->track[position], at, until);
        t->looks++;
        if (!offer) continue;
        t->position[t->found] = position;
        t->offer[t->found++] = offer;
        sum += offer;
        if (nodes && t->found >= nodes && sum >= tasks) break;
    }
    return t->found;
}

/* Return the index of the first candidate from `start` on that holds so many tasks from now until a moment; `count`:
 * there is none. */
int32_t tracks_first(Tracks *t, const TaskRows *asked, const int32_t *candidates, int32_t count, int32_t start,
                     double until, int32_t tasks)
{
    int32_t i = start;
    while (i < count && offer_now(t, asked, candidates[i], until) < tasks) i++;
    t->looks += i - start + (i < count);
    return i;
}

/* Return the index of the first ask that one of its candidates holds from now on; `count`: there is none. */
int32_t tracks_first_ask(Tracks *t, const Ask *const *asks, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const Ask *ask = asks[i];
        if (tracks_first(t, ask->rows, ask->candidates, ask->count, 0, t->now + ask->duration, ask->tasks) < ask->count)
            return i;
    }
    return count;
}

static double earliest_on(const Tracks *t, const TaskRows *asked, const Track *track, int32_t tasks, double duration,
                          double from, double bound)
{
    double begin = -1;
    for (int32_t k = step_at(track, from); k < track->count; k++) {
        if (begin >= 0 && track->at[k] >= begin + duration) return begin;
        if (offer_of(t, asked, track->kind, row(t, track, k)) < tasks) {
            begin = -1;
        } else if (begin < 0) {
            begin = track->at[k] > from ? track->at[k] : from;
            if (begin >= bound) return INFINITY;
        }
    }
    return begin >= 0 ? begin : INFINITY;
}

/* Find the candidate that holds so many tasks for so long first, at or after `from`: its position is position[0].
 * Returns the moment; INFINITY when there is none. */
double tracks_earliest(Tracks *t, const TaskRows *asked, const int32_t *candidates, int32_t count, int32_t tasks,
                       double duration, double from)
{
    double best = INFINITY;
    for (int32_t i = 0; i < count && best > from; i++) {
        double at = earliest_on(t, asked, &t->track[candidates[i]], tasks, duration, from, best);
        t->looks++;
        if (at >= best) continue;
        best = at;
        t->position[0] = candidates[i];
    }
    return best;
}

/* Take a job's plan at a node out and find its earliest fit, now or later.  Only when that is earlier than the plan,
 * the plan stays out; returns when the job fits, or when it is planned. */
double tracks_earlier(Tracks *t, const Ask *ask, int32_t position, double at, const int64_t *take)
{
    tracks_change(t, position, at, at + ask->duration, take, 1, 0);
    double best = tracks_earliest(t, ask->rows, ask->candidates, ask->count, ask->tasks, ask->duration, t->now);
    if (best < at) return best;
    tracks_change(t, position, at, at + ask->duration, take, -1, 0);
    return at;
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
        Moment *copy = checked(malloc(fresh * sizeof *copy));
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

/* Begin to sweep over time from `from` on. */
void tracks_sweep(Tracks *t, const TaskRows *asked, const int32_t *candidates, int32_t count, double duration,
                  double from)
{
    sort_moments(t);
    t->sum = t->useful = 0;
    memset(t->swept, 0xff, t->nodes * sizeof *t->swept);
    for (int32_t i = 0; i < count; i++) {
        int32_t offer = window_offer(t, asked, &t->track[candidates[i]], from, from + duration);
        t->swept[candidates[i]] = offer;
        t->sum += offer;
        t->useful += offer > 0;
    }
    t->looks += count;
    t->cursor = first_moment_after(t, from);
    t->is_first = 1;
}

/* Return the next moment at which the candidates may hold so many tasks on so many nodes; INFINITY: there is none. */
double tracks_next(Tracks *t, const TaskRows *asked, int64_t tasks, int64_t nodes, double duration, double from)
{
    if (t->is_first) {
        t->is_first = 0;
        if (t->sum >= tasks && t->useful >= nodes) return from;
    }
    while (t->cursor < t->moments) {
        double at = t->moment[t->cursor].at;
        int has_changed = 0;
        for (; t->cursor < t->moments && t->moment[t->cursor].at == at; t->cursor++) {
            int32_t position = t->moment[t->cursor].position, before = t->swept[position];
            const Track *track = &t->track[position];
            /* A moment may be there twice, or be left of a step that is gone. */
            int is_again = t->cursor && !by_time(&t->moment[t->cursor - 1], &t->moment[t->cursor]);
            if (before < 0 || is_again || track->at[step_at(track, at)] != at) continue;
            int32_t offer = window_offer(t, asked, track, at, at + duration);
            t->looks++;
            has_changed = 1;
            t->swept[position] = offer;
            t->sum += offer - before;
            t->useful += (offer > 0) - (before > 0);
        }
        if (has_changed && t->sum >= tasks && t->useful >= nodes) return at;
    }
    return INFINITY;
}

const int32_t *tracks_positions(const Tracks *t) { return t->position; }
const int32_t *tracks_offers(const Tracks *t) { return t->offer; }
int64_t tracks_looks(const Tracks *t) { return t->looks; }
