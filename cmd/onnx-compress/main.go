// Command onnx-compress makes trained ONNX models smaller and faster by
// replacing their layers with chains of low-rank factors.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], streams{out: os.Stdout, err: os.Stderr}))
}
