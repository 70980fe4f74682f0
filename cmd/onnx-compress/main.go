// Command onnx-compress makes trained ONNX models smaller and faster by
// replacing their layers with chains of low-rank factors.
package main

import "os"

func main() { os.Exit(begin(os.Args[1:])) }

// begin is the program as one process or two: commands that may run models do so in a worker.
func begin(args []string) int {
	s := streams{out: os.Stdout, err: os.Stderr}
	if isWorker() {
		return work(args, s.out)
	}
	if models, format := runsModels(args); models {
		s.log = format
		return supervise(args, s)
	}
	return run(args, s)
}
