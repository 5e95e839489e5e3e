package hosted

// newCoderHNSW is missing: the module does not compile here.
var newCoderHNSW func(string) subject
