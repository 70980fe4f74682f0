// Command screenshots takes pictures of a page, light and dark, for the documentation:
//
//	go run ./scripts/screenshots PAGE.html FOLDER/NAME
//
// writes FOLDER/NAME-light.png and FOLDER/NAME-dark.png, and FOLDER/NAME-phone.png where PHONE is set. PAGE.html#PART shows a part of the page.
package main

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"os"
	"path/filepath"

	"github.com/onnx-compress/onnx-compress/internal/chromium"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("want a page and where its pictures go, as in result.html docs/report; got %q", args)
	}
	page, err := filepath.Abs(args[0])
	if err != nil {
		return err
	}
	program, err := chromium.Find()
	if err != nil {
		return err
	}
	b, err := chromium.Start(context.Background(), program)
	if err != nil {
		return err
	}
	defer b.Close()
	views := map[string]chromium.View{"light": {Width: 1200, Height: 1230}, "dark": {Width: 1200, Height: 1230, Dark: true}}
	if os.Getenv("PHONE") != "" {
		views["phone"] = chromium.View{Width: 390, Height: 2400}
	}
	for name, view := range views {
		p, err := b.Open("file://"+filepath.ToSlash(page), view)
		if err != nil {
			return err
		}
		taken, err := p.PNG()
		p.Close()
		if err != nil {
			return err
		}
		if err := write(args[1]+"-"+name+".png", taken); err != nil {
			return err
		}
	}
	return nil
}

// write writes a picture as small as it can be: Chromium's are made in a hurry.
func write(path string, taken []byte) error {
	picture, err := png.Decode(bytes.NewReader(taken))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestCompression}
	if err := e.Encode(&out, picture); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}
