// Package isolation tries every call of the API with another tenant's ids.
//
// The calls are read from the OpenAPI document, so that a new one cannot be
// forgotten: without a recipe the test fails. Start with TestTenantsNeverMeet.
package isolation
