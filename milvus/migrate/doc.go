// Package migrate copies collections from one server of Milvus's protocol to another: from a Selkie store to a Milvus cluster, or back.
//
// A pass reads both sides in the order of their primary keys and makes the target like the source: rows that are missing or other are
// upserted, rows too many are deleted. So a pass may be repeated and resumed without harm, a second one carries over what was written to
// the source during the first, and one that finds nothing to do is a verification, row by row.
//
// Where a key is there more than once in the source, the target gets one of its rows.
package migrate
