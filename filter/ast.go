package filter

// op is what a node of the syntax tree does.
type op uint8

const (
	opNone  op = iota
	opConst    // val
	opList     // val.list, its elements' places in spots
	opName     // a field or dynamic key, in text
	opIndex    // args[0][val]

	opNeg // -x
	opPlus
	opInvert // ~x
	opNot

	opPow
	opMul
	opDiv
	opMod
	opAdd
	opSub
	opShiftLeft
	opShiftRight
	opBitAnd
	opBitXor
	opBitOr

	opEqual
	opNotEqual
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opMatch    // =~
	opNotMatch // !~
	opLike
	opIn
	opIsNull
	opExists
	opChain // args[0] ops[0] args[1] ops[1] args[2]
	opCall  // text(args...), and named arguments

	opAnd // of two or more
	opOr
)

var opText = [...]string{
	opNeg: "-", opPlus: "+", opInvert: "~", opNot: "not", opPow: "**", opMul: "*", opDiv: "/", opMod: "%", opAdd: "+", opSub: "-",
	opShiftLeft: "<<", opShiftRight: ">>", opBitAnd: "&", opBitXor: "^", opBitOr: "|", opEqual: "==", opNotEqual: "!=",
	opLess: "<", opLessEqual: "<=", opGreater: ">", opGreaterEqual: ">=", opMatch: "=~", opNotMatch: "!~", opLike: "like", opIn: "in",
	opIsNull: "is null", opExists: "exists", opAnd: "and", opOr: "or",
}

func (o op) String() string {
	if int(o) < len(opText) {
		return opText[o]
	}
	return ""
}

// flip returns the operator that gives the same when its sides are exchanged.
func (o op) flip() op {
	switch o {
	case opLess:
		return opGreater
	case opLessEqual:
		return opGreaterEqual
	case opGreater:
		return opLess
	case opGreaterEqual:
		return opLessEqual
	}
	return o
}

// node is a piece of syntax, before fields and types are looked at.
type node struct {
	op    op
	at    span // the whole piece
	mark  span // the operator or name, for errors
	depth int
	args  []*node
	ops   [2]op
	val   value
	spots []uint32 // of a list that is written down: where each element begins
	text  string
	named []namedArg
	paren bool
}

// namedArg is name=value in a call.
type namedArg struct {
	name string
	at   span
	val  *node
}
