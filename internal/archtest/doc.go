// Package archtest holds the house's walls: a test that reads every Go file of
// the module and fails where one crosses a line drawn in ARCHITECTURE.md.
//
// The lines:
//
//  1. direction: a package imports only the packages that the table in
//     rules_test.go allows it.
//  2. pebble: of Pebble, one file of segment/ sees the tables; everyone may
//     use its vfs, no one the rest.
//  3. flatbuffers: its types stay in codec files (named *codec*.go) and in the
//     generated code under internal/fb folders.
//  4. roaring: it stays behind segment's tombstones and filter's row sets.
//  5. exit: a library does not end its host's process.
//  6. init: a library has no init functions.
//  7. panic: a library panics only where a comment says what its caller broke.
//  8. testing: a library imports no test code.
//
// A library is every package outside cmd/ and bench/. A package whose name ends
// in "test" is test code: rules 5 to 8 do not hold for it, and no library
// imports it. Test files are free of all rules; files of every platform are
// read, whichever the test runs on.
//
// There is nothing here but tests.
package archtest
