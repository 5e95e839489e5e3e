package filter

import (
	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// Block is a run of rows to evaluate an expression over, a segment's chunk, say. Any number of rows will do, but a few
// thousand and more are the cheapest.
type Block struct {
	Rows int
	// Column gives the values of a field for the rows of the block. It is called at most once for each of Expr.Fields, when
	// the field is first needed, and not at all if what is known already decides all rows. The data is used until Eval
	// returns.
	Column func(f *schema.Field) (column.Data, error)
	// Answers are what indexes have said of the terms of the expression, in the order of Expr.Terms; nil for a term that none was asked. First is
	// the block's first row in them, a multiple of 64. Fields are not read for terms with an answer.
	Answers []*Answer
	First   int
	// Base is the number of the first row in a numbering that other blocks of the same call go on with. random_sample draws
	// by it, and nothing else needs it.
	Base uint64
}

// Eval sets bit i%64 of dst[i/64] for each row i of the block that matches, and clears all other bits of dst. Rows for which
// the expression is unknown do not match. The error is Column's, or says that its data is not of the field or the block.
// REQUIRES: len(dst) >= (b.Rows+63)/64.
func (e *Expr) Eval(b *Block, dst []uint64) error {
	clear(dst)
	if c, ok := e.root.(constPred); ok {
		if c {
			setFirst(dst, b.Rows)
		}
		return nil
	}
	r := newRun(e, b)
	defer r.close()
	want, k := r.bits.get(e.tile/64), r.bits.get(e.tile/64)
	defer r.bits.drop(2)
	for from := 0; from < b.Rows; from += e.tile {
		r.start(from, min(e.tile, b.Rows-from))
		want := want[:r.words]
		setFirst(want, r.rows)
		t := dst[from/64 : from/64+r.words]
		r.eval(e.root, want, t, k[:r.words])
		if r.err != nil {
			clear(dst)
			return r.err
		}
		for i := range t {
			t[i] &= want[i]
		}
	}
	return nil
}

// setFirst sets the first n bits of words, and clears the rest of the last word that holds one of them.
func setFirst(words []uint64, n int) {
	for i := range n / 64 {
		words[i] = ^uint64(0)
	}
	if n%64 != 0 {
		words[n/64] = 1<<(n%64) - 1
	}
}
