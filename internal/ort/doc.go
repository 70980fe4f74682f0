// Package ort runs ONNX models in ONNX Runtime. It is the only door to the
// runtime in the house, and calls its C API without cgo.
//
// # How the binding works
//
// [Open] loads the shared library with the system's own loader (dlopen, or
// LoadLibraryEx on Windows) and looks up its one exported function,
// OrtGetApiBase. That gives a structure of function pointers, OrtApi, which the
// runtime only ever appends to: a function keeps its position for good. The
// positions stand in api_gen.go, generated from the runtime's C header, and a
// call goes through the pointer found there. Open asks for one version of that
// structure by number, so that any later runtime serves as well, and refuses
// runtimes that are older.
//
// Every function used takes pointers and integers only, so that one calling
// sequence serves all; on the 64-bit systems that this package is built for,
// the header's calling convention is the platform's usual one. Paths are
// UTF-8 on Unix and UTF-16 on Windows, everything else is UTF-8.
//
// # Rules that keep it safe
//
//   - What C gives out (status, session, value, name) is kept as a uintptr and
//     released exactly once. A failed call's status becomes an [Error] and is
//     released on the spot.
//   - What C reads during one call only (names, shapes, options) is Go memory
//     whose address is taken in the argument list of [Library.call], which keeps
//     it alive and in place until the call returns. An address is never kept in
//     a uintptr beyond that.
//   - What C holds beyond one call (the data of input tensors, from the making
//     of the value to the end of the run) is pinned by a [runtime.Pinner].
//   - What Go sees of C's memory is the data of a run's [Results], without a
//     copy. It is read-only, and valid until Close. An output that lies in an
//     input's own memory is copied, so that a caller may reuse its inputs.
//   - A library outlives its sessions and a session its runs and results,
//     whatever the order of the Close calls: closing only forbids new use, and
//     the last user frees. The shared library itself is never unloaded.
//
// # Threads
//
// All methods may be called from several goroutines at once. A session computes
// on the calling thread alone, unless [Options] ask for more to time them: callers
// run batches side by side instead, so that results do not depend on the number of threads. A goroutine that waits
// for C occupies a thread, and not a processor of the Go scheduler.
//
// The runtime's log is turned off (its severity is "fatal"), since whatever it
// says about a failure also comes back as the error.
package ort

// The header comes with the runtime's releases and in the Go module
// github.com/yalue/onnxruntime_go, which is not one of this module's own.
//
//go:generate go run ./gen -header $ONNXRUNTIME_C_API_H -api 24 -o api_gen.go
