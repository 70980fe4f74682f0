package main

// The flags that several commands have, each with its text where that is the same.

func runtimeFlag(f *flagSet, path *string) {
	f.StringVar(path, "ort", "", "`PATH` ONNX Runtime's shared library")
}

func seedFlag(f *flagSet, seed *uint64, text string) {
	f.Uint64Var(seed, "seed", 0, "`N` "+text)
}

func batchFlag(f *flagSet, batch *int) {
	f.IntVar(batch, "batch", 32, "`N` samples at once where the model's batch is free (32)")
}

func threadsFlag(f *flagSet, threads *int, text string) {
	f.IntVar(threads, "threads", 0, "`N` "+text)
}

func memoryFlag(f *flagSet, size *string) {
	f.StringVar(size, "memory", "", "`SIZE` bound of the memory (the smaller of 2GiB and half of what there is); k, M, G are powers of 1000, KiB, MiB, GiB of 1024")
}

func shapeFlag(f *flagSet, shapes *[]string, text string) {
	f.StringArrayVar(shapes, "input-shape", nil, "`NAME=1x3x224x224` "+text)
}

func methodsFlag(f *flagSet, methods *[]string, text string) {
	f.StringSliceVar(methods, "methods", nil, "`LIST` "+text)
	f.completeWith("methods", words(methodWords()...))
}

func reportFlag(f *flagSet, path *string, text string) {
	f.StringVar(path, "report", "", "`FILE` "+text)
}
