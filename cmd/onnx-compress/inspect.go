package main

import (
	"context"
	"io"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/report"
)

func runInspect(_ context.Context, args []string, s streams) error {
	var (
		out    outputFlags
		sel    compress.Selection
		shapes []string
	)
	f := newFlags("inspect")
	f.StringArrayVar(&shapes, "input-shape", nil, "")
	f.StringArrayVar(&sel.Only, "only", nil, "")
	f.StringArrayVar(&sel.Keep, "keep", nil, "")
	out.add(f, "quiet", "verbose")
	rest, err := parse(f, args, s)
	if err != nil {
		return err
	}
	path, err := oneModel(rest, &out)
	if err != nil {
		return err
	}
	if err := out.check(path); err != nil {
		return err
	}
	inputs, err := inputShapes(shapes)
	if err != nil {
		return err
	}
	m, err := onnxio.Read(path)
	if err != nil {
		return err
	}
	defer m.Close()
	inspection, err := compress.Inspect(m, inputs, sel)
	if err != nil {
		return err
	}
	return out.write(s.out, inspection, func(w io.Writer) error { return report.Inspection(w, inspection, out.verbose) })
}

func runMethods(_ context.Context, args []string, s streams) error {
	var out outputFlags
	f := newFlags("methods")
	out.add(f)
	rest, err := parse(f, args, s)
	if err != nil {
		return err
	}
	if err := out.check(); err != nil {
		return err
	}
	methods := compress.MethodTexts()
	text := func(w io.Writer) error { return report.Methods(w, methods.Methods) }
	switch len(rest) {
	case 0:
	case 1:
		m, err := compress.MethodTextNamed(rest[0])
		if err != nil {
			return err
		}
		methods.Methods = []compress.MethodText{m}
		text = func(w io.Writer) error { return report.Method(w, &m) }
	default:
		return usagef("%d methods were named; want one, or none for the list", len(rest))
	}
	return out.write(s.out, methods, text)
}
