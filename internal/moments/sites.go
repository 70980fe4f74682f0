package moments

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/rewrite"
)

// Windows are those of a convolution at a spatial size of its input.
func Windows(s *rewrite.Site, in []int) Patches {
	v := s.View
	return Patches{
		Channels: s.Kernel.In, Groups: s.Kernel.Groups, In: slices.Clone(in), Window: v.Window,
		Strides: v.Strides, Dilations: v.Dilations, PadBegin: v.Lead(in), Out: v.Output(in),
	}
}

// ThinInputs says which positions are summed of what a site reads of so many samples, at the size that it was analysed at.
func ThinInputs(s *rewrite.Site, samples int) Thinning {
	if !thinnable(s) {
		return nil
	}
	return Windows(s, s.Geometry.In).Thin(samples)
}

// ThinOutputs says which positions are summed of what a site gives, or of its gradients.
func ThinOutputs(s *rewrite.Site, samples int) Thinning {
	if !thinnable(s) {
		return nil
	}
	return Pixels(s.Kernel.Out, s.Kernel.Groups, s.Geometry.Out...).Thin(samples)
}

// thinnable tells whether a site has positions that can be left out.
func thinnable(s *rewrite.Site) bool {
	return s.View.Kind == rewrite.ConvPatches && !s.View.Transposed && s.Located
}
