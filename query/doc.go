// Package query holds what a reader asks for: requests that are made without an engine and checked against a schema.
//
//	req := query.Nearest("vector", v).Limit(10).Output("title")
//
// # Invariants
//
//  1. A request says nothing about how it is carried out.
//  2. Check resolves every name and refuses every value that is out of range, before anything is read.
//
// # Concurrency
//
// A request may be used by several goroutines once it is no longer changed.
package query
