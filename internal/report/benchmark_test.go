package report

import (
	"fmt"
	"io"
	"testing"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/costs"
)

func TestBenchmarkText(t *testing.T) {
	b := &compress.Benchmark{
		Place: compress.Place{Processor: "Some CPU", Runtime: "1.32.0", Threads: 2, Batch: 8}, Data: "random inputs", Turns: 40,
		Models: []compress.TimedModel{
			{Path: "a.onnx", Time: 4.5, TimeLow: 4.25, TimeHigh: 5, Speed: 1, SpeedLow: 1, SpeedHigh: 1, Throughput: 1777.8, Memory: 3 << 20},
			{Path: "b.onnx", Time: 0.9, TimeLow: 0.85, TimeHigh: 1, Speed: 5, SpeedLow: 4.5, SpeedHigh: 5.5, Throughput: 8888.9, Memory: 1 << 20},
		},
	}
	for i := range 10 {
		b.Operators = append(b.Operators, compress.OperatorTime{Op: fmt.Sprintf("Op%d", i), Nodes: []int{i, 1}, Micros: []float64{100 - float64(i), 3.25}})
	}
	golden(t, "benchmark", func(w io.Writer) error { return Benchmark(w, b, false) })
	golden(t, "benchmark_verbose", func(w io.Writer) error {
		b.Models[0].Memory, b.Models[1].Memory = 0, 0 // as where the system does not say
		return Benchmark(w, b, true)
	})
}

func TestCostsText(t *testing.T) {
	conv := costs.Piece{Op: "Conv", Type: "float32", Out: 16, In: 16, Window: []int{3, 3}, Groups: 1, Reads: []int{1, 16, 8, 8}, Writes: []int{1, 16, 8, 8}}
	table, err := costs.New(costs.Machine{Processor: "Some CPU", Runtime: "ONNX Runtime 1.32.0", Threads: 2, Batch: 8}, 1, []costs.Model{{SHA256: "a", Micros: 1234}},
		[]costs.Point{{Piece: conv, Micros: 12}})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "costs", func(w io.Writer) error { return Costs(w, table) })
}
