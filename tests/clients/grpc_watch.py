"""gRPC's own client watches the health of a gateway, and prints each state with its number."""

import os

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

STATES = health_pb2.HealthCheckResponse.ServingStatus
health = health_pb2_grpc.HealthStub(grpc.insecure_channel(os.environ["DOOR"]))
for number, told in enumerate(health.Watch(health_pb2.HealthCheckRequest()), 1):
    print(number, STATES.Name(told.status), flush=True)
print("over", flush=True)
