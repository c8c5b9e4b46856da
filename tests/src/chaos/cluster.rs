//! Three nats-servers in one cluster, with a proxy on each route between them.

use std::net::TcpListener;
use std::path::PathBuf;

use async_nats::jetstream;
use tempfile::TempDir;

use crate::nats::Nats;
use crate::paths::scratch;
use crate::proxy::Proxy;

const SIZE: usize = 3;

/// A cluster; its stores outlive a server, not the cluster.
pub struct Cluster {
    nodes: Vec<Option<Nats>>,
    places: Vec<Place>,
    /// The route between two servers, by their numbers.
    routes: Vec<((usize, usize), Proxy)>,
    folder: TempDir,
}

struct Place {
    client: u16,
    route: u16,
}

impl Cluster {
    /// Three servers on free ports.
    pub fn start() -> Self {
        let places: Vec<_> = (0..SIZE).map(|_| Place { client: free_port(), route: free_port() }).collect();
        // Each server calls the next one, so that there is one way between any two of three.
        let pairs = (0..SIZE).map(|from| (from, (from + 1) % SIZE));
        let routes = pairs.map(|pair| (pair, Proxy::start(format!("127.0.0.1:{}", places[pair.1].route)))).collect();
        let mut cluster = Self { nodes: (0..SIZE).map(|_| None).collect(), places, routes, folder: scratch() };
        (0..SIZE).for_each(|node| cluster.start_node(node));
        cluster
    }

    /// All servers, separated by commas.
    pub fn urls(&self) -> String {
        let urls = self.places.iter().map(|place| format!("nats://127.0.0.1:{}", place.client));
        urls.collect::<Vec<_>>().join(",")
    }

    /// Kills a server with SIGKILL.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node] = None;
    }

    /// Starts a server with what it stored.
    pub(super) fn start_node(&mut self, node: usize) {
        let config = self.config(node);
        self.nodes[node] = Some(Nats::with_config(&self.store(node), &config));
    }

    /// Lets no byte through between a server and the others, or lets them through again.
    pub(super) fn cut_off(&self, node: usize, cut: bool) {
        for ((from, to), route) in &self.routes {
            if [*from, *to].contains(&node) {
                route.freeze(cut);
            }
        }
    }

    /// The server that leads a stream.
    pub(super) async fn leader(&self, stream: &str) -> Option<usize> {
        let urls = self.urls();
        let servers: Vec<&str> = urls.split(',').collect();
        let queue = jetstream::new(async_nats::connect(servers).await.ok()?);
        let info = queue.get_stream(stream).await.ok()?;
        let leader = info.cached_info().cluster.as_ref()?.leader.clone()?;
        leader.strip_prefix('n')?.parse().ok()
    }

    fn store(&self, node: usize) -> PathBuf {
        self.folder.path().join(format!("n{node}"))
    }

    fn config(&self, node: usize) -> String {
        let own = self.routes.iter().filter(|((from, _), _)| *from == node);
        let routes: Vec<_> = own.map(|(_, proxy)| format!("\"nats://{}\"", proxy.address())).collect();
        let Place { client, route } = self.places[node];
        let store = self.store(node);
        // Nobody can reach the address that is advertised: there is no way but through the proxies.
        format!(
            "server_name: n{node}\nlisten: \"127.0.0.1:{client}\"\n\
             jetstream {{ store_dir: \"{}\", sync_interval: always }}\n\
             cluster {{ name: chaos, listen: \"127.0.0.1:{route}\", advertise: \"127.0.0.1:1\", routes: [{}] }}\n",
            store.display(),
            routes.join(", ")
        )
    }
}

/// Servers of a cluster must know each other's ports before any of them runs.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port()
}
