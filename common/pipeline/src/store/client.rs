//! The S3 client as the stores of our users need it.

use std::time::Duration;

use anyhow::Context;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider};
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction, RetryConfig};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Credentials, ProvideCredentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedCredentialsProvider, SharedHttpClient,
};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use crate::config::S3Options;

/// Attempts of one request; the pause before each doubles, with jitter.
const ATTEMPTS: u32 = 5;
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// A client for these options. Asks for credentials, not for objects.
pub(super) async fn client(options: &S3Options) -> anyhow::Result<Client> {
    options.check()?;
    let http = http_client(is_plain(options));
    let providers = ProviderConfig::without_region().with_http_client(http.clone());
    let region = region(options, &providers).await;
    let providers = providers.with_region(region.clone());
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIME)
        .operation_attempt_timeout(Duration::from_secs(options.attempt_seconds))
        .operation_timeout(options.operation_time());
    let config = aws_sdk_s3::Config::builder()
        .http_client(http)
        .region(region)
        .credentials_provider(credentials(options, &providers).await?)
        .timeout_config(timeouts.build())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .retry_classifier(AlsoRetry)
        // Stores that are not Amazon's reject the checksum trailers (awslabs/aws-sdk-rust#1240).
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .force_path_style(options.path_style.unwrap_or(options.endpoint.is_some()));
    let config = match &options.endpoint {
        Some(endpoint) => config.endpoint_url(endpoint),
        None => config,
    };
    Ok(Client::from_conf(config.build()))
}

/// The same client over connections of its own. The runtime that opens a connection drives it: shared between two,
/// each request would wake a thread of the other one, and its answer one of the first.
pub(super) fn apart(client: &Client, plain: bool) -> Client {
    Client::from_conf(client.config().to_builder().http_client(http_client(plain)).build())
}

/// Whether no request is encrypted.
pub(super) fn is_plain(options: &S3Options) -> bool {
    let plain = options.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    plain && options.access_key.is_some()
}

fn http_client(plain: bool) -> SharedHttpClient {
    // Without TLS no certificate authorities need to be installed.
    if plain {
        return Builder::new().build_http();
    }
    Builder::new().tls_provider(Provider::rustls(CryptoMode::Ring)).build_https()
}

async fn region(options: &S3Options, providers: &ProviderConfig) -> Option<Region> {
    RegionProviderChain::first_try(options.region.clone().map(Region::new))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::builder().configure(providers).build())
        .or_else(Region::from_static("us-east-1"))
        .region()
        .await
}

/// The given keys, else the chain of the AWS tools. The chain is our own because theirs ends
/// with the metadata service of EC2, which hangs everywhere else.
async fn credentials(options: &S3Options, providers: &ProviderConfig) -> anyhow::Result<SharedCredentialsProvider> {
    if let (Some(access), Some(secret)) = (&options.access_key, &options.secret_key) {
        let token = options.session_token.as_ref().map(|token| token.reveal().to_owned());
        let keys = Credentials::new(access, secret.reveal(), token, None, "shanshui");
        return Ok(SharedCredentialsProvider::new(keys));
    }
    let profile = ProfileFileCredentialsProvider::builder().configure(providers).build();
    let identity = WebIdentityTokenCredentialsProvider::builder().configure(providers).build();
    let container = EcsCredentialsProvider::builder().configure(providers).build();
    let mut chain = CredentialsProviderChain::first_try("environment", EnvironmentVariableCredentialsProvider::new())
        .or_else("profile", profile)
        .or_else("web identity", identity)
        .or_else("container", container);
    if options.imds {
        let machine = ImdsCredentialsProvider::builder().configure(providers).build();
        chain = chain.or_else("machine", machine);
    }
    chain.provide_credentials().await.context(
        "s3: no credentials; allowed: s3-access-key with s3-secret-key, or those of the AWS environment, \
         profile, web identity or container (of an EC2 machine with s3-imds)",
    )?;
    Ok(SharedCredentialsProvider::new(chain))
}

/// Answers that mean "again, please" and that the client would take for final.
#[derive(Debug)]
struct AlsoRetry;

impl ClassifyRetry for AlsoRetry {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(Err(error)) = context.output_or_error() else { return RetryAction::NoActionIndicated };
        let put = error.as_operation_error().and_then(|error| error.downcast_ref::<PutObjectError>());
        // Two conditional writes met; S3 asks for a retry.
        let met = matches!(put.and_then(|put| put.code()), Some("ConditionalRequestConflict" | "OperationAborted"));
        let busy = context.response().is_some_and(|response| response.status().as_u16() == 429);
        if met || busy { RetryAction::throttling_error() } else { RetryAction::NoActionIndicated }
    }

    fn name(&self) -> &'static str {
        "conflicts and 429"
    }
}
