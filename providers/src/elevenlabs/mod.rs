//! ElevenLabs Agents.
