package shapes

// rules returns the rule of every operator of the main domain that is known.
// Where opsets differ (an attribute that became an input, a default that changed)
// the rule covers all of them.
func rules() map[string]rule {
	t := map[string]rule{
		// Constants and control
		"Constant":        {0, constant, false},
		"ConstantOfShape": {1, constantOfShape, false},
		"EyeLike":         {1, like, false},
		"If":              {1, ifElse, true},
		"RandomNormal":    {0, randomShape, false},
		"RandomUniform":   {0, randomShape, false},
		"Range":           {3, ranged, false},

		// Shapes and moves
		"CenterCropPad":  {2, centerCropPad, false},
		"Concat":         {1, concat, false},
		"DepthToSpace":   {1, depthToSpace, false},
		"Expand":         {2, expand, false},
		"Flatten":        {1, flatten, false},
		"Gather":         {2, gather, false},
		"GatherElements": {2, gatherElements, false},
		"GatherND":       {2, gatherND, false},
		"Loop":           {0, loop, true},
		"NonZero":        {1, nonZero, false},
		"OneHot":         {2, oneHot, false},
		"Pad":            {1, pad, false},
		"Reshape":        {1, reshape, true},
		"Scan":           {0, scan, true},
		"Shape":          {1, shapeOf, false},
		"Size":           {1, sizeOf, false},
		"Slice":          {1, slice, false},
		"SpaceToDepth":   {1, spaceToDepth, false},
		"Split":          {1, split, false},
		"Squeeze":        {1, squeeze, false},
		"Tile":           {2, tile, false},
		"TopK":           {1, topK, false},
		"Transpose":      {1, transpose, false},
		"Unsqueeze":      {1, unsqueeze, false},

		// Elementwise with numbers worth following
		"Cast":     {1, castTo, false},
		"CastLike": {2, castLike, false},
		"Where":    {3, where, false},

		// Products
		"Conv":          {2, conv, false},
		"ConvInteger":   {2, conv, false},
		"ConvTranspose": {2, convTranspose, false},
		"DeformConv":    {2, conv, false},
		"Einsum":        {1, einsum, false},
		"Gemm":          {2, gemm, false},
		"MatMul":        {2, matMul, false},
		"MatMulInteger": {2, matMul, false},
		"QLinearConv":   {4, qLinearConv, false},
		"QLinearMatMul": {5, qLinearMatMul, false},

		// Pools and resampling
		"AveragePool":       {1, pool, false},
		"GlobalAveragePool": {1, globalPool, false},
		"GlobalLpPool":      {1, globalPool, false},
		"GlobalMaxPool":     {1, globalPool, false},
		"GridSample":        {2, gridSample, false},
		"LpPool":            {1, pool, false},
		"MaxPool":           {1, pool, false},
		"MaxRoiPool":        {2, roiPool, false},
		"Resize":            {1, resize, false},
		"RoiAlign":          {3, roiPool, false},
		"Upsample":          {1, resize, false},

		// Layers
		"Attention":             {3, attention, false},
		"BatchNormalization":    {1, batchNorm, false},
		"Dropout":               {1, dropout, false},
		"DynamicQuantizeLinear": {1, dynamicQuantize, false},
		"GRU":                   {3, recurrent, false},
		"LSTM":                  {3, recurrent, false},
		"LayerNormalization":    {1, layerNorm, false},
		"RNN":                   {3, recurrent, false},
	}
	for _, many := range []struct {
		infer func(*call) error
		ops   []string
	}{
		{like, []string{
			"Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Bernoulli", "BitwiseNot", "Celu", "Clip", "Cos", "Cosh",
			"CumProd", "CumSum", "DequantizeLinear", "Elu", "Erf", "Exp", "Gelu", "GroupNormalization", "HardSigmoid",
			"HardSwish", "Hardmax", "InstanceNormalization", "IsInf", "IsNaN", "LRN", "LeakyRelu", "Log", "LogSoftmax",
			"LpNormalization", "MeanVarianceNormalization", "Mish", "PRelu", "QuantizeLinear", "RMSNormalization",
			"RandomNormalLike", "RandomUniformLike", "Relu", "ReverseSequence", "RotaryEmbedding", "Scatter",
			"ScatterElements", "ScatterND", "Selu", "Shrink", "Sigmoid", "Sin", "Sinh", "Softmax", "Softplus", "Softsign",
			"Swish", "Tan", "Tanh", "TensorScatter", "ThresholdedRelu", "Trilu",
		}},
		{unary, []string{"Abs", "Ceil", "Floor", "Identity", "Neg", "Not", "Reciprocal", "Round", "Sign", "Sqrt"}},
		{binary, []string{
			"Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual",
			"Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or", "Pow", "Sub", "Sum", "Xor",
		}},
		{reduce, []string{
			"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
			"ReduceSum", "ReduceSumSquare",
		}},
		{argReduce, []string{"ArgMax", "ArgMin"}},
	} {
		for _, op := range many.ops {
			t[op] = rule{1, many.infer, false}
		}
	}
	return t
}
