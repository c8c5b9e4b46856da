//! `grpc.health.v1.Health`: whether this gateway takes jobs.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::unfold;
use tonic::Status;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::call::{Asked, Many};
use crate::error::ApiError;
use crate::gateway::Gateway;

/// How often a watched state is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The state now.
pub(super) async fn check(gateway: Gateway, asked: Asked<HealthCheckRequest>) -> Result<HealthCheckResponse, Status> {
    match state(&gateway, &asked.message.service) {
        ServingStatus::ServiceUnknown => Err(ApiError::missing("there is no such service").into()),
        known => Ok(told(known)),
    }
}

/// The state now, and whenever it has changed. The last one is that of a gateway that stops.
pub(super) async fn watch(
    gateway: Gateway,
    asked: Asked<HealthCheckRequest>,
) -> Result<Many<HealthCheckResponse>, Status> {
    let service = asked.message.service;
    let states = unfold(None, move |last| {
        let (gateway, service) = (gateway.clone(), service.clone());
        async move {
            loop {
                let (stops, state) = (gateway.stop.is_cancelled(), state(&gateway, &service));
                if last != Some(state) {
                    return Some((Ok(told(state)), Some(state)));
                }
                if stops {
                    return None;
                }
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = gateway.stop.cancelled() => {}
                }
            }
        }
    });
    Ok(Many(states.boxed()))
}

fn state(gateway: &Gateway, service: &str) -> ServingStatus {
    if !["", "shanshui.v1.Jobs"].contains(&service) {
        return ServingStatus::ServiceUnknown;
    }
    let serving = gateway.queue.is_connected() && !gateway.stop.is_cancelled();
    if serving { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn told(state: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: state.into() }
}
