// Package report makes tables and charts of records: Markdown for documents, one HTML page for reading. The page
// needs nothing but itself: charts are inline SVG without scripts, in colours that follow the reader's light or dark
// mode, and print well.
//
// # Invariants
//
//  1. Only what was measured is told. A speed at a recall is interpolated between two measured points, never beyond them.
//  2. Where Selkie is not first, the report says so, in a section of its own.
package report
