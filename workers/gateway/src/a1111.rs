//! The shape of the AUTOMATIC1111 web UI, as far as its usual clients need it.

pub(crate) mod lists;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use rmpv::Value as Field;
use serde_json::{Map, Value, json};
use shanshui_client::Story;
use shanshui_pipeline::fields::{FieldError, Fields};
use shanshui_pipeline::job::{JobId, TextJob};
use shanshui_pipeline::{Event, Job};

use crate::body::{bad, json as json_body};
use crate::error::{ApiError, answer};
use crate::gateway::Gateway;
use crate::jobs::objects;
use crate::jobs::parse::Wish;
use crate::keys::Caller;
use crate::openai::{Watched, images, models};

/// Their name of a setting, and ours.
const NAMES: [(&str, &str); 5] = [
    ("negative_prompt", "negative"),
    ("steps", "steps"),
    ("cfg_scale", "guidance"),
    ("width", "width"),
    ("height", "height"),
];

/// `POST /sdapi/v1/txt2img`
pub(crate) async fn paint(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let wanted = object(request).await?;
    let checkpoint = wanted.get("override_settings").and_then(|settings| settings["sd_model_checkpoint"].as_str());
    let pool = models::pool(&gateway, "paint", checkpoint).await?;
    let job = job(&wanted, pool, gateway.words.samplers)?;
    let mut watched = Watched::send(&gateway, &caller, &headers, Wish::Text(job)).await?;
    let seat = Seat::take(&gateway, &caller, &watched.id);
    let story = watched.result(|event| seat.hear(event)).await?;
    let mut pictures = Vec::new();
    for picture in objects::pictures(&watched.id, &story) {
        pictures.push(images::encoded(&gateway, &picture).await?);
    }
    let info = info(&wanted, &story).to_string();
    Ok(answer(StatusCode::OK, &json!({ "images": pictures, "parameters": wanted, "info": info })))
}

async fn object(request: Request) -> Result<Map<String, Value>, ApiError> {
    let body = json_body(request).await?;
    serde_json::from_slice(&body).map_err(|error| bad(FieldError::new("body", error, "one JSON object").to_string()))
}

type Samplers = [(&'static str, &'static str)];

fn job(wanted: &Map<String, Value>, pool: Option<String>, samplers: &Samplers) -> Result<TextJob, ApiError> {
    let given = |name: &str| wanted.get(name).filter(|value| !value.is_null() && *value != "");
    let count = |name: &str| given(name).and_then(Value::as_u64).unwrap_or(1);
    let mut picture: Vec<(Field, Field)> = vec![("syntax".into(), "a1111".into())];
    picture.push(("count".into(), (count("batch_size").saturating_mul(count("n_iter"))).into()));
    for (theirs, ours) in NAMES {
        if let Some(value) = given(theirs) {
            picture.push((ours.into(), serde_json::from_value(value.clone()).unwrap_or(Field::Nil)));
        }
    }
    if let Some(name) = given("sampler_name").or_else(|| given("sampler_index")).and_then(Value::as_str) {
        picture.push(("sampler".into(), sampler(name, given("scheduler"), samplers).into()));
    }
    // Theirs is -1 where any seed will do.
    if let Some(seed) = given("seed").and_then(Value::as_u64) {
        picture.push(("seed".into(), seed.into()));
    }
    picture.extend(pool.map(|pool| ("model".into(), pool.into())));
    let text = wanted.get("prompt").and_then(Value::as_str).unwrap_or_default();
    let fields = Field::Map(vec![("text".into(), text.into()), ("picture".into(), Field::Map(picture))]);
    Ok(TextJob::from_fields(Fields::new("", fields)?)?)
}

/// Newer clients name the spacing of the noise levels apart from the sampler.
fn sampler(name: &str, scheduler: Option<&Value>, samplers: &Samplers) -> String {
    let karras = scheduler.and_then(Value::as_str).is_some_and(|name| name.eq_ignore_ascii_case("karras"));
    let both = format!("{name} Karras");
    if karras && samplers.iter().any(|(_, known)| *known == both) { both } else { name.to_owned() }
}

/// What these clients read out of a string of JSON.
fn info(wanted: &Map<String, Value>, story: &Story) -> Value {
    let pictures = story.pictures();
    let seed = pictures.first().map(|picture| picture.seed);
    let size = pictures.first().map_or((0, 0), |picture| picture.size);
    let prompt = wanted.get("prompt").and_then(Value::as_str).unwrap_or_default();
    let negative = wanted.get("negative_prompt").and_then(Value::as_str).unwrap_or_default();
    let text =
        format!("{prompt}\nNegative prompt: {negative}\nSeed: {}, Size: {}x{}", seed.unwrap_or(0), size.0, size.1);
    let seeds: Vec<u64> = pictures.iter().map(|picture| picture.seed).collect();
    json!({
        "prompt": prompt, "negative_prompt": negative, "seed": seed, "all_seeds": seeds,
        "width": size.0, "height": size.1, "infotexts": vec![text; pictures.len()],
    })
}

/// `GET /sdapi/v1/progress`: of the caller's request that this process works for.
pub(crate) async fn progress(State(gateway): State<Gateway>, Extension(caller): Extension<Caller>) -> Response {
    let painting = gateway.painting().get(&caller.name).cloned();
    let (id, count) = painting.as_ref().map_or(("", 0), |painting| (painting.id.as_str(), 1));
    let Painting { steps, eta, preview, .. } = painting.clone().unwrap_or_else(|| Painting::of(None));
    let part = if steps.1 > 0.0 { (steps.0 / steps.1).clamp(0.0, 1.0) } else { 0.0 };
    let state = json!({
        "skipped": false, "interrupted": false, "stopping_generation": false, "job": id, "job_count": count, "job_no": 0,
        "job_timestamp": "0", "sampling_step": steps.0 as u64, "sampling_steps": steps.1 as u64,
    });
    let told =
        json!({ "progress": part, "eta_relative": eta, "current_image": preview, "textinfo": null, "state": state });
    answer(StatusCode::OK, &told)
}

/// `POST /sdapi/v1/interrupt`
pub(crate) async fn interrupt(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let id = gateway.painting().get(&caller.name).and_then(|painting| JobId::parse("id", &painting.id).ok());
    if let Some(id) = id {
        gateway.queue.cancel(&id).await.map_err(|error| ApiError::away(&error))?;
    }
    Ok(answer(StatusCode::OK, &json!({})))
}

/// How far a request is.
#[derive(Clone)]
pub(crate) struct Painting {
    id: String,
    /// Denoising steps: done, and all.
    steps: (f64, f64),
    eta: f64,
    /// The last coarse picture, PNG as base64.
    preview: Option<String>,
}

impl Painting {
    fn of(id: Option<&JobId>) -> Self {
        let id = id.map(ToString::to_string).unwrap_or_default();
        Self { id, steps: (0.0, 0.0), eta: 0.0, preview: None }
    }
}

/// The place of a request among those in work; it is free again when the request is over.
struct Seat<'a> {
    gateway: &'a Gateway,
    caller: &'a str,
    id: String,
}

impl<'a> Seat<'a> {
    fn take(gateway: &'a Gateway, caller: &'a Caller, id: &JobId) -> Self {
        gateway.painting().insert(caller.name.clone(), Painting::of(Some(id)));
        Self { gateway, caller: &caller.name, id: id.to_string() }
    }

    fn hear(&self, event: &Event) {
        let mut all = self.gateway.painting();
        let Some(painting) = all.get_mut(self.caller).filter(|painting| painting.id == self.id) else { return };
        match event {
            Event::Progress { done, total, eta, .. } if *total > 0.0 => {
                painting.steps = (*done, *total);
                painting.eta = eta.unwrap_or(0.0);
            }
            Event::Preview { png, .. } => painting.preview = Some(png.clone()),
            _ => {}
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.gateway.painting().retain(|_, painting| painting.id != self.id);
    }
}
