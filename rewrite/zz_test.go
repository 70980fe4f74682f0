package rewrite

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/shapes"
)

func TestZZ(t *testing.T) {
	files, _ := filepath.Glob("/work/shared/models/*.onnx")
	files = append(files, "/tmp/minilm.onnx")
	for _, p := range files {
		t0 := time.Now()
		m, err := onnxio.Read(p)
		if err != nil {
			t.Error(p, err)
			continue
		}
		t1 := time.Now()
		given := map[string][]int{}
		switch filepath.Base(p) {
		case "ppocr4_rec.onnx":
			given["x"] = []int{1, 3, 48, 320}
		case "minilm.onnx":
			given["input_ids"] = []int{1, 16}
		}
		in, unk := shapes.InputShapes(m, given)
		s := shapes.Infer(m, in)
		t2 := time.Now()
		sites, skips, err := Sites(m, s)
		c := MeasureCosts(m, s)
		fmt.Println(filepath.Base(p), unk, err, "read", t1.Sub(t0), "infer", t2.Sub(t1), "sites", time.Since(t2))
		fmt.Println("   macs", c.MACs, "params", c.Params, "bytes", c.Bytes, "unlocated", len(c.Unlocated), "nodes", len(c.Nodes), "sites", len(sites), "skips", len(skips))
		for _, n := range m.Graph().Node {
			for _, o := range n.Output {
				if w := s.Why(o); w != "" && o != "" {
					fmt.Println("   WHY", o, w)
				}
			}
		}
		for _, s := range sites {
			if !s.Located || os.Getenv("V") != "" {
				fmt.Println("   SITE", s.Name, s.Op, s.Kernel, s.Geometry, s.Batch, s.Why, s.WeightStays, s.OutputScale != nil, s.View, s.DenseMACs(), s.Note)
			}
		}
		for _, k := range skips {
			if os.Getenv("V") != "" {
				fmt.Println("   SKIP", k.Name, k.Op, k.Kind, k.Reason)
			}
		}
		for _, u := range c.Unlocated {
			fmt.Println("   UNLOC", u.Name, u.Op, u.Why)
		}
		m.Close()
	}
}
