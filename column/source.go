package column

// Source returns the set that a row is of, and its position there; nil for the zero Row. So rows that were picked one by one can be
// gathered column by column.
func (r Row) Source() (rows *Rows, at int) { return r.rows, r.i }
