// Package data holds the demo's data: the 20,000 most frequent English words
// of a GloVe model, each with its vector of 100 dimensions, embedded in the
// binary. LICENSE-DATA beside this file says where they come from.
//
// # The file words.bin, version 1
//
// All integers are little-endian.
//
//	offset    bytes         field
//	0         8             magic "SELKWORD"
//	8         4             version, 1
//	12        4             count of words, n
//	16        4             dimensions, d
//	20        4             bytes of text, t
//	24        t             n words in UTF-8, most frequent first, each ended by '\n'
//	24+t      2·n·d         n rows of d IEEE 754 half-precision values
//	24+t+2nd  4             CRC-32C of every byte before it
//
// The rows are as the model gives them, not normalised. The derive command
// writes the file; its output depends on nothing but its input.
package data
