package segment

import "runtime"

// CanMap says that files are mapped on this system.
const CanMap = runtime.GOOS != "windows"
