"""Trains the small text-to-image latent diffusion model that ships as the offline default."""
