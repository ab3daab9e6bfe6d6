package channel

// FitAll is Fit without its short way.
var FitAll = fit
