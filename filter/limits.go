package filter

// Limits of an expression. An expression beyond one is refused with an error that names it.
const (
	MaxLength = 16 << 20 // bytes of an expression's text
	MaxDepth  = 256      // operators, brackets and path steps inside one another
	MaxNodes  = 1 << 16  // operators, names, literals and lists, the elements of lists not counted
	MaxList   = 1 << 20  // elements of a list, be it written down or a template's value
	MaxPaths  = 256      // different JSON paths
	MaxRegexp = 4096     // bytes of a regular expression

	MaxShouldMatch = 1000      // largest minimum_should_match of text_match
	MaxSlop        = 1<<32 - 1 // largest slop of phrase_match
)
