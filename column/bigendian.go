//go:build armbe || arm64be || m68k || mips || mips64 || mips64p32 || ppc || ppc64 || s390 || s390x || shbig || sparc || sparc64

package column

// Values are used in place, in the byte order in which they are stored. This name is undefined on purpose: it stops the
// build for targets that would read them backwards.
var _ = selkieNeedsALittleEndianTarget
