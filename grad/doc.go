// Package grad turns an ONNX model into the ONNX model of its gradients.
//
// [Build] takes a model f, cotangents v of some of its values, and the names of values
// and initializers y, and returns a model that computes ∂(vᵀf)/∂y beside the forward
// pass: reverse-mode differentiation by one vector-Jacobian product per node. The result
// uses standard operators only, of the operator set that the model imports, and so runs
// wherever the model does.
//
// # The way through
//
//	Model, by Infer or Observe ──▶ Values   type and shape of every value; numbers of the small ones that rules read
//	Model, Values, Options ──▶ route         which nodes lie between the wanted values and the outputs
//	route, in reverse order ──▶ emitter      a Rule per node appends the nodes of its product; the contributions
//	                                        to a value that is read several times are added up in a fixed order
//	emitter ──▶ Graph                       the forward nodes, shared by pointer, and the emitted ones behind them
//
// A rule reads the values that the forward pass gives out by their names, and never the
// numbers of weights. What depends on weights alone, such as a transposed kernel, is left
// to the runtime, which folds it when the model is loaded.
//
// # What has a gradient
//
// A value of a floating-point type, through an operator with a rule. Everything of another
// type (shapes, indices, masks) is a constant of the run, and so is what an operator does
// with it. Where an operator's steps are flat, as in Floor, the gradient is zero. An operator
// without a rule between a wanted value and an output blocks that value: [Build] fails with a
// [*BlockedError] that names it, and [Blocked] gives the same answer without a model, so that
// the rest can be asked for.
//
// The result holds for the shapes in Values only. A partial batch is fed by filling it up and
// giving the filling the cotangent zero.
//
// # Conventions
//
// Where a function has a kink, the gradient is one-sided as in the common training frameworks:
// Relu, Abs and Sign-like functions have 0 at 0, Clip passes the gradient at its bounds.
// MaxPool gives the gradient of a window to its first largest element in row-major order; Max, Min,
// ReduceMax, ReduceMin and GlobalMaxPool share it evenly among equals.
package grad
