package ort

import (
	"context"
	"testing"
)

func TestChannelBlock(t *testing.T) {
	l := openLibrary(t)
	block, err := l.ChannelBlock(context.Background())
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
