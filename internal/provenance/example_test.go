package provenance_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// A model that was made from another says so, and can be asked whether that still holds.
func ExampleCheck() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	source, small := filepath.Join(folder, "model.onnx"), filepath.Join(folder, "small.onnx")
	m, err := onnxio.Read("../../testmodels/data/fashion_resnet.onnx")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	if err := onnxio.Write(ctx, m, source, onnxio.WriteOptions{}); err != nil {
		log.Fatal(err)
	}

	digest, err := onnxio.Digest(ctx, source)
	if err != nil {
		log.Fatal(err)
	}
	recorded, err := provenance.Attach(m, provenance.Record{
		Version: "v1", Source: provenance.File{Path: "model.onnx", SHA256: digest}, Options: map[string]string{"targets": "macs=0.5"},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer recorded.Close()
	if err := onnxio.Write(ctx, recorded, small, onnxio.WriteOptions{}); err != nil {
		log.Fatal(err)
	}

	for _, target := range []string{"macs=0.5", "macs=0.4"} {
		want := provenance.Want{Options: map[string]string{"targets": target}}
		found, err := provenance.Check(ctx, []string{small}, func(string) provenance.Want { return want })
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(target+":", found[0].State, found[0].Changed)
	}
	// Output:
	// macs=0.5: fresh []
	// macs=0.4: stale [options]
}
