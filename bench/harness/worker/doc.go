// Package worker runs each measured system in a process of its own, so that memory, cores and a crash are that
// system's alone, and all are asked in the same way, in whichever language they are written.
//
// # Wire
//
// A request is one line on the worker's standard input, an answer one line on its standard output. Both are a verb,
// a question mark and URL-encoded pairs of name and value:
//
//	→ search?ef=64&from=1000&k=10&out=%2Ftmp%2Fanswers&threads=1&to=2000
//	← ok?seconds=0.0713
//
// The answer's verb is "ok", "error" (text=...: this request failed, the worker goes on) or "unsupported" (text=...:
// the system cannot do that). A line whose verb is "progress" (done, of) may come before the answer. The standard
// error is the user's. The worker ends when its input does.
//
// Vectors do not travel: a request names files of the data set, and a search writes its answers to files: out, k
// little-endian int32 row numbers a query, -1 where there are fewer; out.us, a float32 of microseconds a query.
//
// # Concurrency
//
// A Proc has one request under way at a time; calls wait for each other.
package worker
