package tune_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/refit"
	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// Solve the sites anew, in order, on what the model with factors feeds them; then put the
// factors in their places, and tune what came of it for an epoch.
func Example() {
	ctx := context.Background()
	m, err := onnxio.Read("../../testmodels/data/fashion_resnet.onnx")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	inputs, err := samples.Inputs(m)
	if err != nil {
		log.Fatal(err)
	}
	src, err := samples.Open("../../testmodels/data/fashion.bin", samples.SourceOptions{}, inputs)
	if err != nil {
		log.Fatal(err)
	}
	chosen, _ := samples.Split(src.Len(), 96, 0)
	env, err := compress.Open(compress.EnvironmentOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	lib, err := env.Need("a refit")
	if err != nil {
		log.Fatal(err)
	}

	choices, err := factored(m, env)
	if err != nil {
		log.Fatal(err)
	}
	r, err := refit.Run(ctx, ort.Of(lib), m, choices, src, chosen, refit.Options{Backend: env.Algebra})
	if err != nil {
		log.Fatal(err)
	}
	names := graph.NewNameSet(m)
	var patches []rewrite.Patch
	for i, s := range r.Sites {
		if s.Chain == nil {
			continue
		}
		fmt.Printf("%s: kept %v, better %v\n", s.Site, s.Kept, s.After < s.Before)
		p, err := rewrite.Replace(m, &choices[i].Site, s.Chain, names)
		if err != nil {
			log.Fatal(err)
		}
		patches = append(patches, p)
	}
	small, err := rewrite.Apply(m, patches, rewrite.ApplyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer small.Close()

	d, err := tune.Run(ctx, ort.Of(lib), m, small, src, chosen, tune.Options{Epochs: 1, Batch: 16, Part: tune.AllParameters})
	if err != nil {
		log.Fatal(err)
	}
	defer d.Model.Close()
	fmt.Printf("%s after %d steps on %d samples, %d held out\n", d.End, d.Steps, d.Learned, d.Held)
	// Output:
	// stage3.block2.conv1: kept true, better true
	// stage3.block2.conv2: kept true, better true
	// classifier: kept true, better true
	// completed after 5 steps on 80 samples, 16 held out
}

// factored decides on rank 12 by svd for the last residual block, and leaves the rest alone.
func factored(m *onnxio.Model, env *compress.Environment) ([]refit.Choice, error) {
	concrete, _ := shapes.InputShapes(m, nil)
	sites, _, err := rewrite.Sites(m, shapes.Infer(m, concrete))
	if err != nil {
		return nil, err
	}
	svd, err := compress.MethodNamed("svd")
	if err != nil {
		return nil, err
	}
	var choices []refit.Choice
	for _, s := range sites {
		c := refit.Choice{Site: s}
		if strings.HasPrefix(s.Name, "stage3.block2.") {
			kernel, err := s.Load()
			if err != nil {
				return nil, err
			}
			spectrum, err := svd.Factor(env.Algebra, kernel, decomp.Metric{})
			if err != nil {
				return nil, err
			}
			c.Method = svd
			if c.Chain, err = spectrum.Chain(decomp.Rank{12}); err != nil {
				return nil, err
			}
		}
		choices = append(choices, c)
	}
	return choices, nil
}
