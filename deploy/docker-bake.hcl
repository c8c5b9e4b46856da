# docker buildx bake -f deploy/docker-bake.hcl [--push]
variable "REGISTRY" { default = "registry.example.com" }
variable "VERSION" { default = "0.2.0" }
variable "REVISION" { default = "unknown" }

group "default" { targets = ["cpu", "cuda"] }

target "common" {
  context    = "."
  dockerfile = "deploy/Dockerfile"
  # Times in the image are those of the commit: SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
  args   = { VERSION = VERSION, REVISION = REVISION, SOURCE_DATE_EPOCH = "0" }
  attest = ["type=sbom", "type=provenance,mode=max"]
  output = ["type=image,rewrite-timestamp=true"]
}

target "cpu" {
  inherits  = ["common"]
  target    = "cpu"
  tags      = ["${REGISTRY}/shanshui:${VERSION}-cpu"]
  platforms = ["linux/amd64", "linux/arm64"]
}

target "cuda" {
  inherits  = ["common"]
  target    = "cuda"
  tags      = ["${REGISTRY}/shanshui:${VERSION}-cuda"]
  platforms = ["linux/amd64"]
}
