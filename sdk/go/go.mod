module github.com/parley-messaging/parley/sdk/go

go 1.25
