package filter

import (
	"math"
	"math/bits"
)

// constantOf returns the value of a piece of syntax that consists of constants.
func constantOf(n *node) (value, error) {
	switch n.op {
	case opConst:
		if n.val.kind == kindBig {
			return value{}, failf(n.at, "%s is out of the range of Int64", n.val)
		}
		return n.val, nil
	case opList:
		return n.val, nil
	case opNeg, opPlus, opInvert:
		if x := n.args[0]; n.op == opNeg && x.op == opConst && x.val.kind == kindBig {
			return intValue(math.MinInt64), nil
		}
		x, err := constantOf(n.args[0])
		if err != nil {
			return value{}, err
		}
		return foldSign(n, x)
	case opPow, opMul, opDiv, opMod, opAdd, opSub, opShiftLeft, opShiftRight, opBitAnd, opBitXor, opBitOr:
		x, err := constantOf(n.args[0])
		if err != nil {
			return value{}, err
		}
		y, err := constantOf(n.args[1])
		if err != nil {
			return value{}, err
		}
		return foldArithmetic(n, x, y)
	}
	return value{}, failf(n.at, "a constant is needed here")
}

func foldSign(n *node, x value) (value, error) {
	switch {
	case !x.isNumber() || n.op == opInvert && x.kind != kindInt:
		return value{}, failf(n.mark, "%s cannot be applied to %s", n.op, x.show())
	case n.op == opPlus:
		return x, nil
	case n.op == opInvert:
		return intValue(^x.int()), nil
	case x.kind == kindFloat:
		return floatValue(-x.float()), nil
	case x.int() == math.MinInt64:
		return value{}, failf(n.mark, "the result is out of the range of Int64")
	}
	return intValue(-x.int()), nil
}

func foldArithmetic(n *node, x, y value) (value, error) {
	if !x.isNumber() || !y.isNumber() {
		return value{}, failf(n.mark, "%s cannot be applied to %s and %s", n.op, x.show(), y.show())
	}
	if (n.op == opDiv || n.op == opMod) && y.float() == 0 {
		return value{}, failf(n.mark, "division by zero")
	}
	if needsInts(n.op) && (x.kind != kindInt || y.kind != kindInt) {
		return value{}, failf(n.mark, "%s takes integers, not %s and %s", n.op, x.show(), y.show())
	}
	if x.kind == kindInt && y.kind == kindInt && (n.op != opPow || y.int() >= 0) {
		if isShift(n.op) && (y.int() < 0 || y.int() > 63) {
			return value{}, failf(n.mark, "a shift by %d, it may be 0 to 63", y.int())
		}
		i, ok := intArithmetic(n.op, x.int(), y.int())
		if !ok {
			return value{}, failf(n.mark, "the result is out of the range of Int64")
		}
		return intValue(i), nil
	}
	f := floatArithmetic(n.op, x.float(), y.float())
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return value{}, failf(n.mark, "the result is no finite Double")
	}
	return floatValue(f), nil
}

func needsInts(o op) bool {
	return o == opMod || o >= opShiftLeft && o <= opBitOr
}

func isShift(o op) bool { return o == opShiftLeft || o == opShiftRight }

// intArithmetic is exact; ok is false where the result does not exist or does not fit. Division truncates, as in C and Go.
func intArithmetic(o op, a, b int64) (c int64, ok bool) {
	switch o {
	case opAdd:
		c = a + b
		return c, (a^c)&(b^c) >= 0
	case opSub:
		c = a - b
		return c, (a^b)&(a^c) >= 0
	case opMul:
		return multiply(a, b)
	case opDiv:
		if b == 0 || b == -1 && a == math.MinInt64 {
			return 0, false
		}
		return a / b, true
	case opMod:
		if b == 0 {
			return 0, false
		}
		if b == -1 {
			return 0, true
		}
		return a % b, true
	case opPow:
		return power(a, b)
	case opShiftLeft:
		return a << (uint64(b) & 63), b >= 0 && b <= 63
	case opShiftRight:
		return a >> (uint64(b) & 63), b >= 0 && b <= 63
	case opBitAnd:
		return a & b, true
	case opBitXor:
		return a ^ b, true
	case opBitOr:
		return a | b, true
	}
	return 0, false
}

func multiply(a, b int64) (int64, bool) {
	c := a * b
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	// The high half of the signed product, from that of the unsigned one (H. Warren: Hacker's Delight, 8-3).
	hi -= uint64(a>>63)&uint64(b) + uint64(b>>63)&uint64(a)
	return c, int64(hi) == int64(lo)>>63
}

// power is by repeated squaring; b is not negative.
func power(a, b int64) (int64, bool) {
	c, ok := int64(1), true
	for {
		if b&1 != 0 {
			if c, ok = multiply(c, a); !ok {
				return 0, false
			}
		}
		if b >>= 1; b == 0 {
			return c, true
		}
		if a, ok = multiply(a, a); !ok {
			return 0, false
		}
	}
}

func floatArithmetic(o op, a, b float64) float64 {
	switch o {
	case opAdd:
		return a + b
	case opSub:
		return a - b
	case opMul:
		return a * b
	case opDiv:
		return a / b
	case opPow:
		return math.Pow(a, b)
	}
	return math.NaN()
}
