// Package hosted holds the workers that are part of this program: Selkie, its parts, and rivals written in Go. Each is
// run in a process of its own (package worker); the others are driven by native/ and node/.
//
// # Verbs
//
//	version                                   version
//	load     dir, …                           take the rows of the data set in dir; load_s, of it flush_s
//	build                                     make the index of what was loaded; build_s, cpu_seconds, disk_mb
//	search   k, from, to, repeat, threads, …  seconds, cpu_seconds; answers are written to out and out.us
//	memory                                    heap_mb, after a garbage collection
//	drop                                      forget what was loaded
//
// and, of stores: see ops.go.
package hosted
