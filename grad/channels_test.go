package grad

import (
	"context"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
)

func TestChannelBlock(t *testing.T) {
	block, err := ChannelBlock(context.Background(), orttest.Open(t))
	if err != nil {
		t.Fatal(err)
	}
	switch block {
	case 0, 8, 16, 32:
		t.Logf("blocks of %d channels", block)
	default:
		t.Errorf("blocks of %d channels", block)
	}
}
