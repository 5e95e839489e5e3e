package filter

import "strconv"

// sample is true for a share of all rows. Which ones depends on the expression's seed and the row's number, see Block.Base.
type sample struct {
	share float64
	below uint64 // of 2^64
}

func newSample(share float64) *sample {
	return &sample{share: share, below: uint64(share * (1 << 63) * 2)}
}

func (s *sample) bind(*binder)            {}
func (s *sample) cost() int               { return costString }
func (s *sample) outcomes(*chunk) outcome { return canTrue | canFalse }

func (s *sample) append(b []byte) []byte {
	b = append(b, "random_sample("...)
	b = strconv.AppendFloat(b, s.share, 'g', -1, 64)
	return append(b, ')')
}

func (s *sample) eval(r *run, want, t, k []uint64) {
	first := r.block.Base + uint64(r.from)
	eachRow(want, t, k, func(i int) tri {
		return triOf(mix(r.expr.seed, first+uint64(i)) < s.below)
	})
}

// mix returns a number that looks random in all its bits: the output function of splitmix64 (Steele, Lea, Flood: Fast splittable
// pseudorandom number generators, 2014), applied to the seed and then to the row.
func mix(seed, row uint64) uint64 {
	return finalize(finalize(seed+0x9e3779b97f4a7c15) ^ row*0x9e3779b97f4a7c15)
}

func finalize(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
