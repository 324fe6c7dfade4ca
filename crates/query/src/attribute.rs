//! The registry of attributes: their types, which are columns of the visibility table, which the server defines beside
//! them, and which of those a caller may set.

use std::fmt;

/// The type of a search attribute. Numbers and names are those of the API's `IndexedValueType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum AttributeType {
    Text = 1,
    Keyword = 2,
    Int = 3,
    Double = 4,
    Bool = 5,
    Datetime = 6,
    KeywordList = 7,
}

impl AttributeType {
    pub const ALL: [Self; 7] =
        [Self::Text, Self::Keyword, Self::Int, Self::Double, Self::Bool, Self::Datetime, Self::KeywordList];

    /// The type with this number in the API's enum; none for Unspecified and for unknown numbers.
    pub fn from_api(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.to_api() == number)
    }

    /// The number in the API's enum.
    pub fn to_api(self) -> i32 {
        self as i32
    }

    /// The type with this name, as the metadata key `type` of a payload and the command line spell it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::Keyword => "Keyword",
            Self::Int => "Int",
            Self::Double => "Double",
            Self::Bool => "Bool",
            Self::Datetime => "Datetime",
            Self::KeywordList => "KeywordList",
        }
    }

    /// Whether one execution can hold several values, each stored as a row of its own.
    pub fn is_multi_valued(self) -> bool {
        matches!(self, Self::Text | Self::KeywordList)
    }
}

impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An attribute that is a column of the visibility table: every system attribute, and the division.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    WorkflowId,
    RunId,
    WorkflowType,
    TaskQueue,
    ExecutionStatus,
    RootWorkflowId,
    RootRunId,
    ParentWorkflowId,
    ParentRunId,
    StartTime,
    ExecutionTime,
    CloseTime,
    HistoryLength,
    HistorySizeBytes,
    StateTransitionCount,
    ExecutionDuration,
    /// Predefined by its place in the API, but a column: nearly every query restricts it.
    NamespaceDivision,
}

/// Every column attribute with its name in queries, its type and its column in the visibility table.
const COLUMNS: [(Column, &str, AttributeType, &str); 17] = {
    use AttributeType::{Datetime, Int, Keyword};
    [
        (Column::WorkflowId, "WorkflowId", Keyword, "workflow_id"),
        (Column::RunId, "RunId", Keyword, "run_id"),
        (Column::WorkflowType, "WorkflowType", Keyword, "workflow_type"),
        (Column::TaskQueue, "TaskQueue", Keyword, "task_queue"),
        (Column::ExecutionStatus, "ExecutionStatus", Keyword, "status"),
        (Column::RootWorkflowId, "RootWorkflowId", Keyword, "root_workflow_id"),
        (Column::RootRunId, "RootRunId", Keyword, "root_run_id"),
        (Column::ParentWorkflowId, "ParentWorkflowId", Keyword, "parent_workflow_id"),
        (Column::ParentRunId, "ParentRunId", Keyword, "parent_run_id"),
        (Column::StartTime, "StartTime", Datetime, "start_time"),
        (Column::ExecutionTime, "ExecutionTime", Datetime, "execution_time"),
        (Column::CloseTime, "CloseTime", Datetime, "close_time"),
        (Column::HistoryLength, "HistoryLength", Int, "history_length"),
        (Column::HistorySizeBytes, "HistorySizeBytes", Int, "history_size_bytes"),
        (Column::StateTransitionCount, "StateTransitionCount", Int, "state_transition_count"),
        (Column::ExecutionDuration, "ExecutionDuration", Int, "execution_duration"),
        (Column::NamespaceDivision, "TemporalNamespaceDivision", Keyword, "division"),
    ]
};

impl Column {
    fn entry(self) -> &'static (Column, &'static str, AttributeType, &'static str) {
        &COLUMNS[self as usize]
    }

    /// Name in queries and in the API.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    pub fn attribute_type(self) -> AttributeType {
        self.entry().2
    }

    /// Name of the column in the table `visibility`.
    pub fn column_name(self) -> &'static str {
        self.entry().3
    }

    pub fn from_name(name: &str) -> Option<Self> {
        COLUMNS.iter().find(|c| c.1 == name).map(|c| c.0)
    }
}

/// An attribute that the server defines and stores among the custom ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predefined {
    pub name: &'static str,
    pub attribute_type: AttributeType,
    /// Whether a caller may set it in the search attributes of a request.
    pub user_may_set: bool,
}

const fn predefined(name: &'static str, attribute_type: AttributeType, user_may_set: bool) -> Predefined {
    Predefined { name, attribute_type, user_may_set }
}

/// The predefined attributes. TemporalNamespaceDivision is one of them although it is stored as a column.
pub const PREDEFINED: [Predefined; 17] = {
    use AttributeType::{Bool, Datetime, Int, Keyword, KeywordList};
    [
        predefined("TemporalChangeVersion", KeywordList, true),
        predefined("BinaryChecksums", KeywordList, true),
        predefined("BuildIds", KeywordList, true),
        predefined("BatcherNamespace", Keyword, true),
        predefined("BatcherUser", Keyword, true),
        predefined("TemporalScheduledStartTime", Datetime, true),
        predefined("TemporalScheduledById", Keyword, true),
        predefined("TemporalSchedulePaused", Bool, true),
        predefined("TemporalNamespaceDivision", Keyword, true),
        predefined("TemporalPauseInfo", KeywordList, true),
        predefined("TemporalReportedProblems", KeywordList, true),
        predefined("TemporalWorkerDeployment", Keyword, false),
        predefined("TemporalWorkerDeploymentVersion", Keyword, false),
        predefined("TemporalWorkflowVersioningBehavior", Keyword, false),
        predefined("TemporalUsedWorkerDeploymentVersions", KeywordList, false),
        predefined("TemporalExternalPayloadCount", Int, false),
        predefined("TemporalExternalPayloadSizeBytes", Int, false),
    ]
};

/// Prefix of the server's own names; a query may leave it out.
pub const RESERVED_PREFIX: &str = "Temporal";

/// Names that mean something inside the reference's stores, so nobody may create an attribute called so.
const RESERVED_NAMES: [&str; 4] = ["NamespaceId", "Memo", "MemoEncoding", "VisibilityTaskKey"];

/// The predefined attribute of this name.
pub fn find_predefined(name: &str) -> Option<&'static Predefined> {
    PREDEFINED.iter().find(|p| p.name == name)
}

/// Whether this is a system attribute: a column that a caller can never set.
pub fn is_system(name: &str) -> bool {
    Column::from_name(name).is_some_and(|c| c != Column::NamespaceDivision)
}

/// Whether a custom attribute must not be created under this name.
pub fn is_reserved(name: &str) -> bool {
    is_system(name)
        || find_predefined(name).is_some()
        || RESERVED_NAMES.contains(&name)
        || name.starts_with(RESERVED_PREFIX)
}

/// Name and type of every attribute that exists in every namespace: the columns, then the predefined ones.
pub fn built_in() -> impl Iterator<Item = (&'static str, AttributeType)> {
    let columns = COLUMNS.iter().filter(|c| c.0 != Column::NamespaceDivision).map(|c| (c.1, c.2));
    columns.chain(PREDEFINED.iter().map(|p| (p.name, p.attribute_type)))
}

/// What a name in a query stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    Column(Column),
    /// Rows of the table `search_attribute` under this name: custom and predefined attributes.
    Stored {
        name: String,
        attribute_type: AttributeType,
    },
}

impl Attribute {
    /// The attribute of exactly this name that exists in every namespace.
    pub fn built_in(name: &str) -> Option<Self> {
        if let Some(column) = Column::from_name(name) {
            return Some(Self::Column(column));
        }
        find_predefined(name)
            .map(|p| Self::Stored { name: p.name.to_owned(), attribute_type: p.attribute_type })
    }

    pub fn attribute_type(&self) -> AttributeType {
        match self {
            Self::Column(column) => column.attribute_type(),
            Self::Stored { attribute_type, .. } => *attribute_type,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_consistent() {
        for (index, (column, name, ..)) in COLUMNS.iter().enumerate() {
            assert_eq!(*column as usize, index, "{name} stands at its own index");
        }
        assert_eq!(built_in().count(), 33);
        for t in AttributeType::ALL {
            assert_eq!(AttributeType::from_api(t.to_api()), Some(t));
            assert_eq!(AttributeType::from_name(t.name()), Some(t));
        }
        assert_eq!(AttributeType::from_api(0), None);
    }

    #[test]
    fn reserved_names() {
        for name in ["WorkflowId", "BuildIds", "Memo", "NamespaceId", "TemporalAnything"] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["CustomerId", "workflowid", "ScheduleId"] {
            assert!(!is_reserved(name), "{name}");
        }
        assert!(!is_system("TemporalNamespaceDivision"));
    }
}
