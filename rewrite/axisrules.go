package rewrite

import "github.com/onnx-compress/onnx-compress/graph"

// axisRule says what an operator does with channels.
type axisRule struct {
	// follow notes where the channels of one input or output lie in the others, or refuses.
	follow func(*step)
	// elements says, for an operator that moves integers such as sizes, which element of which input each element of
	// output 0 is; nil where it does not.
	elements func(*finder, graph.Node) []source
	// targets are the inputs whose elements are the sizes of output 0.
	targets []int
}

// axisRules returns the rule of every operator that channels are followed through: for another one, add its line here.
// Those of ONNX's own domain hold for all their versions.
func axisRules() map[string]axisRule {
	rules := map[string]axisRule{
		// Layers with weights
		"Conv":          {follow: convolution},
		"ConvTranspose": {follow: convolution},
		"Gemm":          {follow: gemm},
		"MatMul":        {follow: matMul},

		// Channels one by one
		"AveragePool":           {follow: perChannel("pools over them")},
		"BatchNormalization":    {follow: batchNormalization},
		"GlobalAveragePool":     {follow: perChannel("pools over them")},
		"GlobalLpPool":          {follow: perChannel("pools over them")},
		"GlobalMaxPool":         {follow: perChannel("pools over them")},
		"GridSample":            {follow: perChannel("samples along them")},
		"InstanceNormalization": {follow: perChannel("normalises over them", 1, 2)},
		"LpPool":                {follow: perChannel("pools over them")},
		"MaxPool":               {follow: maxPool},
		"PRelu":                 {follow: pRelu},
		"Resize":                {follow: resize, targets: []int{3}},
		"Tile":                  {follow: tile},
		"Upsample":              {follow: resize},

		// Along axes, which must be others
		"ArgMax":                    {follow: reduces("takes the largest of them", oneAxis(0))},
		"ArgMin":                    {follow: reduces("takes the smallest of them", oneAxis(0))},
		"CumSum":                    {follow: keeps("sums over them", inputAxis)},
		"GroupNormalization":        {follow: keeps("normalises over them in groups", secondAxis)},
		"Hardmax":                   {follow: keeps("takes the largest of them", softmaxAxes)},
		"LRN":                       {follow: keeps("normalises over them", secondAxis)},
		"LayerNormalization":        {follow: keeps("normalises over them", lastAxes)},
		"LogSoftmax":                {follow: keeps("normalises over them", softmaxAxes)},
		"LpNormalization":           {follow: keeps("normalises over them", oneAxis(-1))},
		"MeanVarianceNormalization": {follow: keeps("normalises over them", meanVarianceAxes)},
		"RMSNormalization":          {follow: keeps("normalises over them", lastAxes)},
		"Softmax":                   {follow: keeps("normalises over them", softmaxAxes)},

		// Moves
		"Concat":          {follow: concat, elements: concatElements},
		"ConstantOfShape": {follow: filled, targets: []int{0}},
		"DepthToSpace":    {follow: depthToSpace},
		"Expand":          {follow: expand, targets: []int{1}},
		"Flatten":         {follow: regroup},
		"Gather":          {follow: gather, elements: gatherElements},
		"Pad":             {follow: pad},
		"Reshape":         {follow: reshape, elements: sameElements, targets: []int{1}},
		"Shape":           {follow: shapeOf},
		"Slice":           {follow: slice, elements: sliceElements},
		"SpaceToDepth":    {follow: spaceToDepth},
		"Split":           {follow: split},
		"Squeeze":         {follow: regroup, elements: sameElements},
		"Transpose":       {follow: transposed},
		"Unsqueeze":       {follow: regroup, elements: sameElements},

		// Numbers one by one, from the first input alone
		"Cast":     {follow: alone, elements: sameElements},
		"CastLike": {follow: alone, elements: sameElements},
		"Dropout":  {follow: alone},
		"Identity": {follow: alone, elements: sameElements},

		// Numbers one by one, of which those that are sizes are moved too
		"Div":   {follow: pointwise, elements: divElements},
		"Where": {follow: pointwise, elements: whereElements},

		// Products of what was cut into heads
		"Attention":                          {follow: blocked("mixes them in heads, which are not narrowed yet")},
		"com.microsoft::Attention":           {follow: blocked("mixes them in heads, which are not narrowed yet")},
		"com.microsoft::GroupQueryAttention": {follow: blocked("mixes them in heads, which are not narrowed yet")},
		"com.microsoft::MultiHeadAttention":  {follow: blocked("mixes them in heads, which are not narrowed yet")},
	}
	for _, many := range []struct {
		rule axisRule
		ops  []string
	}{
		{axisRule{follow: pointwise}, []string{
			"Abs", "Acos", "Acosh", "And", "Asin", "Asinh", "Atan", "Atanh", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor",
			"Ceil", "Celu", "Clip", "Cos", "Cosh", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual",
			"HardSigmoid", "HardSwish", "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Min", "Mish", "Mod",
			"Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh",
			"Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Xor",
			"com.microsoft::BiasGelu", "com.microsoft::FastGelu", "com.microsoft::Gelu", "com.microsoft::QuickGelu",
		}},
		{axisRule{follow: sum}, []string{"Add", "Mean", "Sub", "Sum"}},
		{axisRule{follow: reduces("sums over them", listedAxes)}, []string{
			"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMean", "ReduceSum", "ReduceSumSquare",
		}},
		{axisRule{follow: reduces("takes one of them", listedAxes)}, []string{"ReduceMax", "ReduceMin"}},
		{axisRule{follow: reduces("multiplies them", listedAxes)}, []string{"ReduceProd"}},
	} {
		for _, op := range many.ops {
			rules[op] = many.rule
		}
	}
	return rules
}
