// Package bandwidth reads memory as quickly as one core can, as a measure for code whose work is to read memory.
package bandwidth
