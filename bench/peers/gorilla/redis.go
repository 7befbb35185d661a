package main

import (
	"encoding/json"

	"github.com/gomodule/redigo/redis"
)

const redisChannel = "room"

// One connection subscribes, another publishes what one goroutine hands it.
func connectRedis(address string, h *hub) error {
	subscriber, err := redis.DialURL(address)
	if err != nil {
		return err
	}
	publisher, err := redis.DialURL(address)
	if err != nil {
		return err
	}
	pubsub := redis.PubSubConn{Conn: subscriber}
	if err := pubsub.Subscribe(redisChannel); err != nil {
		return err
	}
	outgoing := make(chan []byte, queueSize)
	relay = func(channel string, data json.RawMessage) {
		text, _ := json.Marshal(publication{"", channel, data})
		outgoing <- text
	}
	go func() {
		for text := range outgoing {
			if _, err := publisher.Do("PUBLISH", redisChannel, text); err != nil {
				panic(err)
			}
		}
	}()
	go func() {
		for {
			switch message := pubsub.Receive().(type) {
			case redis.Message:
				var p publication
				if json.Unmarshal(message.Data, &p) == nil {
					h.publish(p.Channel, p.Data)
				}
			case error:
				panic(message)
			}
		}
	}()
	return nil
}
