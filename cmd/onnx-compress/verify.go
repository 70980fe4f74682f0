package main

import (
	"context"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

func runVerify(ctx context.Context, args []string, s streams) error {
	var (
		o       compress.VerifyOptions
		where   compress.EnvironmentOptions
		samples sampleFlags
		out     outputFlags
		gate    gateFlags
		data    string
		shapes  []string
	)
	f := newFlags("verify")
	f.StringVar(&data, "data", "", "")
	f.IntVar(&o.Samples, "samples", 0, "")
	samples.add(f)
	f.StringArrayVar(&shapes, "input-shape", nil, "")
	f.Uint64Var(&o.Seed, "seed", 0, "")
	f.IntVar(&o.Batch, "batch", 32, "")
	f.IntVar(&where.Threads, "threads", 0, "")
	f.StringVar(&where.Runtime, "ort", "", "")
	gate.add(f)
	out.add(f, "quiet")
	rest, err := parse(f, args, s)
	if err != nil {
		return err
	}
	if len(rest) != 2 {
		return usagef("want two models, the original and the compressed one; got %d", len(rest))
	}
	if o.InputShapes, err = inputShapes(shapes); err != nil {
		return err
	}
	if err := atLeastOne(f, "samples", "batch", "threads"); err != nil {
		return err
	}
	if err := samples.needs(f, "data", data); err != nil {
		return err
	}
	if err := out.check(rest[0], rest[1], data, samples.labels); err != nil {
		return err
	}
	if err := gate.read(rest[0], rest[1], data, samples.labels, string(out.json)); err != nil {
		return err
	}
	m, err := onnxio.Read(rest[0])
	if err != nil {
		return err
	}
	defer m.Close()
	if data != "" {
		if o.Source, err = openSamples(m, data, &samples); err != nil {
			return err
		}
	}
	env, end, err := s.open(where, out.quiet)
	if err != nil {
		return err
	}
	r, err := compress.Verify(ctx, env, m, rest[1], o)
	end()
	if err != nil {
		return err
	}
	return gate.judge(r, s, &out)
}
