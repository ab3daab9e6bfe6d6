package app

import (
	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/sms"
	"github.com/parley-messaging/parley/channel/whatsapp"
)

// channels is the whole list; its order is the order of the house's default
// route and of the console.
var channels = []channel.Type{whatsapp.Type, sms.Type}
